#!/bin/sh
# A page for each text, with an index, and all of it packed for download.
set -eu
mkdir -p /out
for text in pages/*.txt; do
  page=$(basename "$text" .txt).html
  { echo '<!doctype html><meta charset="utf-8"><pre>'; cat "$text"; echo '</pre>'; } > "/out/$page"
  echo "<li><a href=\"$page\">$page</a>" >> /out/index.html
  echo "$page: $(wc -w < "$text") words"
done
tar -cf - -C /out . | gzip -9 > /tmp/site.tar.gz
mv /tmp/site.tar.gz /out/
