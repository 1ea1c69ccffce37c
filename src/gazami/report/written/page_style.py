"""The style sheet of ``report.html``: light and dark, wide and narrow, screen and paper."""

STYLE = """
:root { color-scheme: light dark; --ink: #1d2329; --soft: #58626d; --line: #d5dbe1; --page: #fff; --box: #f4f6f8;
  --ran: #1f6fb8; --cached: #2c8a57; --failed: #c0322b; --wait: #c9ced4; --base: #8a63b8; --other: #b58a1e;
  --look: #3c9aa0; --snapshot: #0f3f6e; --upload: #b0487f; --link: #1f5fa8; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e4e8ec; --soft: #a2acb6; --line: #3a434c; --page: #14181c; --box: #1e242a;
    --ran: #5aa7e8; --cached: #58bd86; --failed: #ff7b72; --wait: #4b555f; --base: #b795e0; --other: #d9b45a;
    --look: #6fc3c8; --snapshot: #2f6ea8; --upload: #e08ab8; --link: #8ec1f5; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1rem; max-width: 75rem; background: var(--page); color: var(--ink);
  font: 1rem/1.5 system-ui, sans-serif; }
h1 { font-size: 1.4rem; margin: 0 0 .5rem; overflow-wrap: anywhere; }
h2 { font-size: 1.1rem; margin: 2rem 0 .5rem; border-bottom: 1px solid var(--line); padding-bottom: .2rem; }
h3 { font-size: 1rem; margin: 1.2rem 0 .3rem; }
a { color: var(--link); }
code, pre { font: .875rem/1.45 ui-monospace, monospace; overflow-wrap: anywhere; }
pre { background: var(--box); border: 1px solid var(--line); border-radius: 4px; padding: .7rem; white-space: pre-wrap; }
.good, .bad { font-weight: 600; }
.good { color: var(--cached); } .bad { color: var(--failed); }
.error { border-left: 4px solid var(--failed); }
.soft { color: var(--soft); }
dl.facts { display: grid; grid-template-columns: max-content 1fr; gap: .2rem 1rem; margin: 0; }
dl.facts dt { color: var(--soft); } dl.facts dd { margin: 0; overflow-wrap: anywhere; }
table { width: 100%; border-collapse: collapse; }
caption { text-align: left; color: var(--soft); padding-bottom: .3rem; }
th, td { text-align: left; vertical-align: top; padding: .25rem .5rem .25rem 0; border-bottom: 1px solid var(--line); }
th { font-weight: 600; color: var(--soft); font-size: .875rem; }
td { overflow-wrap: anywhere; }
.number { text-align: right; white-space: nowrap; padding-left: .5rem; }
table.steps { table-layout: fixed; } .what { width: 47%; } .bar { width: 33%; }
svg { display: block; width: 100%; height: 1.1rem; margin-top: .2rem; background: var(--box); border-radius: 2px; }
table:not(.steps) svg { width: 8rem; max-width: 20vw; }
rect.ran { fill: var(--ran); } rect.cached { fill: var(--cached); } rect.failed { fill: var(--failed); }
rect.wait { fill: var(--wait); } rect.base { fill: var(--base); }
rect.other { fill: var(--other); } rect.look { fill: var(--look); } rect.snapshot { fill: var(--snapshot); }
rect.upload { fill: var(--upload); } rect.cancelled { fill: var(--wait); }
ul.key { list-style: none; display: flex; flex-wrap: wrap; gap: .2rem 1.2rem; padding: 0; margin: .5rem 0; font-size: .875rem; }
ul.key svg { display: inline-block; width: 1rem; height: .8rem; margin: 0 .3rem 0 0; }
summary { cursor: pointer; } summary:focus-visible { outline: 2px solid var(--link); outline-offset: 2px; }
details > :not(summary) { margin-left: 1.1rem; }
@media (max-width: 42rem) {
  dl.facts { grid-template-columns: 1fr; } dl.facts dd { margin: 0 0 .4rem; }
  table.steps thead { display: none; }
  table.steps tr { display: grid; grid-template-columns: 1fr 1fr; border-bottom: 1px solid var(--line); }
  table.steps td { border: 0; width: auto; } table.steps td.what, table.steps td.bar { grid-column: 1 / 3; }
  table.steps td.number { text-align: left; padding-left: 0; } }
@media print {
  :root { --ink: #000; --soft: #333; --line: #999; --page: #fff; --box: #f4f4f4; color-scheme: light; }
  body { max-width: none; padding: 0; font-size: 10pt; }
  rect, svg { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
  details::details-content { content-visibility: visible; block-size: auto; }
  tr, pre { break-inside: avoid; } }
"""
