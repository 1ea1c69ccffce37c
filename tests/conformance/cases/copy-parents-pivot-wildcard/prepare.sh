mkdir -p dir/sub dog/sub; echo d >dir/sub/d.txt; echo e >dog/sub/e.txt; echo f >dfile
