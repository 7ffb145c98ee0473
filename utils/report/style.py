"""The frame and the style sheet of a report: light and dark, and narrow windows down to a telephone."""

from __future__ import annotations

from string import Template

STYLE = """
:root { color-scheme: light dark; --page: #ffffff; --ink: #1c1c1c; --soft: #595959; --line: #d9d9d9;
  --band: #f4f4f4; --link: #0060a0; --bar: #0072b2; }
@media (prefers-color-scheme: dark) {
  :root { --page: #16181b; --ink: #ececec; --soft: #a9adb3; --line: #3a3e44; --band: #202327;
    --link: #7cc4ff; --bar: #56b4e9; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1rem; max-width: 72rem; background: var(--page); color: var(--ink);
  font: 1rem/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Liberation Sans", sans-serif;
  overflow-wrap: anywhere; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: 0.4rem 0 0.8rem; }
h2 { font-size: 1.3rem; margin: 2.2rem 0 0.6rem; padding-top: 0.6rem; border-top: 2px solid var(--line); }
h3 { font-size: 1.1rem; margin: 1.6rem 0 0.5rem; }
h4 { font-size: 1rem; margin: 1.2rem 0 0.4rem; }
a { color: var(--link); }
nav ul { padding-left: 1.2rem; }
.soft, figcaption, caption { color: var(--soft); font-size: 0.875rem; }
dl.about { display: grid; grid-template-columns: max-content minmax(0, 1fr); gap: 0.15rem 1rem; margin: 0; }
dl.about dt { color: var(--soft); }
dl.about dd { margin: 0; }
.scroll { overflow-x: auto; margin: 0.6rem 0; border: 1px solid var(--line); border-radius: 6px; }
table { border-collapse: collapse; width: 100%; font-size: 0.875rem; font-variant-numeric: tabular-nums; }
caption { text-align: left; padding: 0.4rem 0.6rem; }
th, td { padding: 0.35rem 0.6rem; text-align: right; border-top: 1px solid var(--line); white-space: nowrap;
  overflow-wrap: normal; }
th { background: var(--band); font-weight: 600; }
tbody th { font-weight: 400; }
th[scope=row], thead th:first-child { text-align: left; white-space: normal; min-width: 7rem; max-width: 14rem;
  overflow-wrap: anywhere; position: sticky; left: 0; }
td .soft { display: block; font-size: 0.75rem; }
tr.ours > * { font-weight: 700; }
td.bar { width: 38%; min-width: 6rem; }
svg { display: block; width: 100%; height: 1rem; }
figure { margin: 1rem 0 1.6rem; }
figure .scroll { border: 0; }
img { display: block; width: 100%; min-width: 44rem; height: auto; background: #ffffff; border-radius: 6px; }
img.tall { min-width: 34rem; }
figcaption { margin-top: 0.4rem; }
details { margin: 0.6rem 0; }
summary { cursor: pointer; color: var(--link); }
@media (min-width: 60rem) { .wide { max-width: 60rem; } .tall { max-width: 44rem; } }
@media print { body { max-width: none; } .scroll { overflow: visible; } img { min-width: 0; } }
"""

# The policy forbids scripts and every request, so that no name in the data can cause either.
PAGE = Template("""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy"
  content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>$title</title>
<style>$style</style>
</head>
<body>
<header>
<h1>$title</h1>
</header>
<main>
$content
</main>
</body>
</html>
""")
