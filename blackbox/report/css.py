"""How a page looks, on a screen and on paper."""

from __future__ import annotations

GALLERY = """
.gallery { display: grid; gap: .2rem .5rem; align-items: start; justify-content: start; font-size: .76rem; line-height: 1.3;
  overflow-x: auto; }
.gallery > div { text-align: center; min-width: 0; overflow-wrap: anywhere; }
.gallery .row { text-align: right; color: var(--soft); align-self: center; padding-right: .3rem; }
.gallery img { width: 100%; display: block; border: 1px solid var(--line); margin-bottom: .1rem; }
.gallery .px { image-rendering: pixelated; }
.gallery .top { font-weight: 600; align-self: end; }
"""
"""Of what `report.gallery` draws, on whichever page; the page says what --soft and --line are."""

CSS = """
:root { --ink: #1b2a3a; --soft: #5d6b78; --pale: #7a8794; --line: #e1e4e8; --paper: #f6f4ef; --red: #b23a48; --blue: #1f6f8b; }
* { box-sizing: border-box; }
body { font: 16px/1.55 system-ui, -apple-system, "Segoe UI", "Helvetica Neue", Arial, sans-serif; color: var(--ink);
  background: #fff; max-width: 70rem; margin: 2.4rem auto 5rem; padding: 0 1.2rem;
  -webkit-print-color-adjust: exact; print-color-adjust: exact; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0 0 .4rem; letter-spacing: -.01em; }
h2 { font-size: 1.3rem; margin: 2.8rem 0 .7rem; padding-bottom: .25rem; border-bottom: 2px solid var(--ink); }
h3 { font-size: 1.02rem; margin: 1.9rem 0 .5rem; }
h2, h3 { break-after: avoid; line-height: 1.3; }
p { margin: .55rem 0; max-width: 50rem; }
p.lead { font-size: 1.08rem; color: var(--soft); margin-top: 0; }
nav { margin: 1.4rem 0 0; padding: .6rem 0; border-top: 1px solid var(--line); border-bottom: 1px solid var(--line);
  font-size: .9rem; display: flex; flex-wrap: wrap; gap: .2rem 1.3rem; }
nav a { color: var(--blue); text-decoration: none; } nav a:hover { text-decoration: underline; }
pre { background: var(--paper); padding: .8rem 1rem; overflow-x: auto; font: .8rem/1.5 ui-monospace, "SF Mono", Menlo, Consolas,
  "DejaVu Sans Mono", monospace; border-radius: 4px; margin: .8rem 0; }
.note { border-left: 4px solid var(--red); background: #fbf1f1; padding: .5rem 1rem; margin: 1rem 0; border-radius: 0 4px 4px 0; }
.note p { margin: .25rem 0; }
.scroll { overflow-x: auto; margin: .9rem 0; }
table { border-collapse: collapse; font-size: .83rem; font-variant-numeric: tabular-nums; line-height: 1.4; }
p.cap { color: var(--soft); font-size: .86rem; margin: 1.1rem 0 -.5rem; max-width: 56rem; }
th, td { padding: .3rem .62rem .3rem 0; border-bottom: 1px solid var(--line); text-align: right; white-space: nowrap; vertical-align: top; }
th { border-bottom: 1.5px solid var(--pale); font-weight: 600; vertical-align: bottom; }
th:last-child, td:last-child { padding-right: .2rem; }
.l { text-align: left; } td.w { white-space: normal; min-width: 9rem; overflow-wrap: break-word; }
tbody tr:hover { background: #fafafa; }
.of { color: var(--pale); }
svg.bar { display: block; margin: .22rem 0 0 auto; }
figure { margin: 1.2rem 0; break-inside: avoid; }
figure > img { max-width: 100%; height: auto; display: block; }
figcaption { color: var(--soft); font-size: .86rem; margin-top: .35rem; max-width: 50rem; }
""" + GALLERY + """
footer { margin-top: 3rem; color: var(--pale); font-size: .82rem; border-top: 1px solid var(--line); padding-top: .6rem; }
@media (max-width: 40rem) { body { font-size: 15px; margin-top: 1.2rem; } h1 { font-size: 1.5rem; } }
@page { size: A4; margin: 16mm 14mm 18mm; }
@media print {
  body { font-size: 9.6pt; margin: 0; padding: 0; max-width: none; }
  h1 { font-size: 18pt; } h2 { font-size: 13pt; margin-top: 18pt; } h3 { font-size: 10.5pt; }
  nav { display: none; }
  .scroll { overflow: visible; }
  table { font-size: 7.6pt; } thead { display: table-header-group; } tr { break-inside: avoid; }
  th, td { padding: 2pt 5pt 2pt 0; } th { white-space: normal; }
  tbody tr:hover { background: none; }
  pre { white-space: pre-wrap; overflow-wrap: anywhere; font-size: 7.2pt; overflow: visible; }
  .gallery { overflow: visible; font-size: 7pt; }
  figure > img { max-width: 150mm; max-height: 200mm; }
  p.cap, figcaption { font-size: 8pt; } p.cap, h3 + p { break-after: avoid; }
  td.w { min-width: 24mm; }
  a { color: inherit; text-decoration: none; }
}
"""
