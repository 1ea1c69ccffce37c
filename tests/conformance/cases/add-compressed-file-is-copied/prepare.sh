echo text | gzip -n >f.gz; echo text | xz >f.xz
