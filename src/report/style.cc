// The page's style sheet: light, dark, phone and print. See parts.h.
//
// Idea: system fonts, one column, few colours, and every colour doubled by a word. Tables scroll
// in their own box; the bars' table becomes cards on a phone. On paper nothing scrolls or folds.
// The contrast of text is at least 4.5:1 in both schemes (WCAG 2.1 AA). Test: report_test.cc.
#include "report/parts.h"

namespace graupel::report {

namespace {

constexpr std::string_view kStyle =
    R"css(:root{--page:#f4f7f9;--card:#fff;--ink:#15222b;--muted:#54646f;--line:#dbe4ea;
--soft:#edf2f5;
--accent:#17639b;--good:#17693c;--good-bg:#e0f3e7;--good-fill:#2f9e63;--bad:#b3261e;
--bad-bg:#fce6e4;
--bad-fill:#d64a41;--warn:#855400;--warn-bg:#fcefd3;--warn-fill:#e0a030;--device:#3f8ec4;
--host:#d9963a;
--none-bg:#e6ecf0;--heat:23,105,60;--miss:179,38,30}
@media screen and (prefers-color-scheme:dark){:root{--page:#0e151a;--card:#162027;--ink:#e5edf2;
--muted:#9db0bc;--line:#2b3a44;--soft:#1d2931;--accent:#6db8ea;--good:#6fd49a;--good-bg:#12331f;
--good-fill:#37a76b;--bad:#ff9188;--bad-bg:#3d1815;--bad-fill:#e0584f;--warn:#f0be62;
--warn-bg:#372708;
--warn-fill:#d39a34;--device:#4a9ad0;--host:#cf8f3c;--none-bg:#26333c;--heat:70,185,120;
--miss:230,95,85}}
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%;text-size-adjust:100%;scroll-behavior:smooth}
body{margin:0 auto;max-width:66rem;padding:1.5rem 1.25rem 3rem;background:var(--page);
color:var(--ink);
font:1rem/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif}
h1,h2,h3,h4,p,ul,dl,dd,figure{margin:0}
h1{font-size:clamp(1.5rem,5vw,2.1rem);line-height:1.2;letter-spacing:-.015em;overflow-wrap:anywhere}
h2{font-size:1.2rem;line-height:1.3;margin-bottom:.75rem}
h3{font-size:1rem;margin:1.25rem 0 .6rem}
h4{font-size:.95rem;margin-bottom:.3rem;overflow-wrap:anywhere}
code{font:.9em/1.4 ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace;
unicode-bidi:isolate;overflow-wrap:break-word}
.muted{color:var(--muted);font-weight:400}
.hidden{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%);
white-space:nowrap}
.brand{display:flex;align-items:center;gap:.5rem;font-weight:600;margin-bottom:1rem}
.logo{width:1.6rem;height:1.6rem;fill:var(--accent)}
.lead{margin-top:.6rem;font-size:1.05rem;max-width:46rem}
.model{display:flex;flex-wrap:wrap;gap:.25rem 2rem;margin-top:.9rem;font-size:.9rem}
.model div{display:flex;gap:.5rem;min-width:0}
.model dt,.facts dt{color:var(--muted)}
.model dd{min-width:0;overflow-wrap:anywhere}
.verdict{display:flex;align-items:center;gap:1rem;margin:1.5rem 0 1rem;padding:1.1rem 1.25rem;
border-radius:.75rem;border:1px solid;font-size:1.2rem;font-weight:600;line-height:1.35}
.verdict p{min-width:0;overflow-wrap:anywhere}
.verdict .sign{flex:none;display:grid;place-items:center;width:2.4rem;height:2.4rem;
border-radius:50%;
border:2px solid;font-size:1.3rem}
.verdict.good{background:var(--good-bg);color:var(--good)}
.verdict.bad{background:var(--bad-bg);color:var(--bad)}
.verdict.none{background:var(--none-bg);color:var(--ink)}
nav ul{display:flex;flex-wrap:wrap;gap:.4rem;list-style:none;padding:0;margin-bottom:1rem}
nav a{display:block;padding:.3rem .8rem;border:1px solid var(--line);border-radius:2rem;
background:var(--card);color:var(--accent);text-decoration:none;font-size:.875rem}
nav a:hover{border-color:var(--accent)}
:focus-visible{outline:2px solid var(--accent);outline-offset:2px}
section{background:var(--card);border:1px solid var(--line);border-radius:.75rem;padding:1.25rem;
margin-bottom:1rem;scroll-margin-top:1rem}
.notice{border-left:.35rem solid var(--warn-fill)}
.notice ul,.plain{padding-left:1.2rem}
.notice li,.plain li{overflow-wrap:anywhere;margin:.15rem 0}
.plain{margin-bottom:1rem}
.intro{color:var(--muted);font-size:.925rem;margin:-.4rem 0 1rem;max-width:46rem}
.tiles+.intro{margin:0 0 1rem}
.pill{display:inline-block;padding:.1rem .65rem;border-radius:2rem;font-size:.85rem;font-weight:600;
white-space:nowrap;background:var(--none-bg);color:var(--ink)}
.pill.good{background:var(--good-bg);color:var(--good)}
.pill.bad,.pill.error{background:var(--bad-bg);color:var(--bad)}
.pill.warning{background:var(--warn-bg);color:var(--warn)}
table{border-collapse:collapse;width:100%;font-size:.9rem;font-variant-numeric:tabular-nums}
th,td{padding:.5rem .75rem;text-align:left;vertical-align:top;border-top:1px solid var(--line)}
thead th{border-top:0;color:var(--muted);font-weight:600;font-size:.8rem;white-space:nowrap;
vertical-align:bottom}
tbody th,tfoot th{font-weight:500}
tfoot td,tfoot th{border-top:2px solid var(--line)}
th:first-child,td:first-child{padding-left:0}
th:last-child,td:last-child{padding-right:0}
.n{text-align:right;white-space:nowrap}
.scroll{overflow-x:auto;position:relative}
@media screen{.scroll{background:linear-gradient(90deg,var(--card) 30%,transparent) left/2rem 100%,
linear-gradient(270deg,var(--card) 30%,transparent) right/2rem 100%,
radial-gradient(farthest-side at 0 50%,rgba(0,0,0,.25),transparent) left/.6rem 100%,
radial-gradient(farthest-side at 100% 50%,rgba(0,0,0,.25),transparent) right/.6rem 100%;
background-repeat:no-repeat;background-attachment:local,local,scroll,scroll}}
.scroll tbody th,.scroll tfoot th{min-width:9.5rem;max-width:22rem;overflow-wrap:break-word}
.bars th .detail{display:block;font-weight:400;color:var(--muted);font-size:.85rem;
overflow-wrap:anywhere}
.bars tbody th{font-weight:600;width:60%}
.bars .v{width:1%;white-space:nowrap}
.bars .m{font-weight:600;white-space:nowrap}
.bars .l{white-space:nowrap;color:var(--muted)}
.bars .r-bad .m{color:var(--bad)}
.tries tbody th{max-width:none;width:50%;overflow-wrap:anywhere}
.tries td:last-child{width:28%}
.chart{min-width:9rem;width:30%}
.bar{display:block;width:100%;height:.6rem;border-radius:.2rem;margin-top:.4rem}
.track{fill:var(--soft)}
.fill{fill:var(--accent)}
.fill.good{fill:var(--good-fill)}.fill.warn{fill:var(--warn-fill)}.fill.bad{fill:var(--bad-fill)}
.fill.device{fill:var(--device)}.fill.host{fill:var(--host)}
.mark{stroke:var(--ink);stroke-width:1.5;vector-effect:non-scaling-stroke;stroke-opacity:.55}
.under{display:block;font-size:.85rem;white-space:nowrap}
.t-good{color:var(--good)}.t-warn{color:var(--warn)}.t-bad{color:var(--bad)}.t-none{
color:var(--muted)}
.percentiles .chart{width:27%;min-width:5.5rem}
.percentiles tbody th{min-width:6rem}
.part{white-space:nowrap}
.part::before{content:"";display:inline-block;width:.6rem;height:.6rem;border-radius:.15rem;
margin-right:.4rem;background:var(--host)}
.part.device::before{background:var(--device)}
.idle,.idle th{color:var(--muted)}
.sizes td:last-child{color:var(--muted)}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(9.5rem,1fr));gap:.75rem;
margin-bottom:1rem}
.tile{background:var(--soft);border-radius:.6rem;padding:.8rem 1rem}
.tile dt{color:var(--muted);font-size:.85rem}
.tile dd{font-size:1.5rem;font-weight:600;line-height:1.3}
.tile dd .muted{display:block;font-size:.8rem}
.cards{display:grid;gap:.75rem}
.card{border:1px solid var(--line);border-left:.3rem solid var(--line);border-radius:.5rem;
padding:.75rem 1rem;font-size:.925rem;min-width:0}
.card p,.card li{overflow-wrap:anywhere}
.card p+p{margin-top:.3rem}
.sev-error{border-left-color:var(--bad-fill)}
.sev-warning{border-left-color:var(--warn-fill)}
.sev-host{border-left-color:var(--host)}
.sev-info{border-left-color:var(--device)}
.fix b{display:inline-block;margin-right:.3rem;color:var(--accent)}
.source{color:var(--muted);font-size:.825rem}
.subjects{display:flex;flex-wrap:wrap;gap:.3rem;list-style:none;padding:0;margin-bottom:.4rem}
.subjects li{background:var(--soft);border-radius:.3rem;padding:0 .45rem;min-width:0}
.picture{overflow:auto;max-height:42rem;border:1px solid var(--line);border-radius:.5rem;
text-align:center}
.picture svg{display:inline-block;vertical-align:top}
.scores{display:flex;flex-wrap:wrap;gap:.25rem 2rem;margin-bottom:1rem}
.confusion{width:auto;font-size:.825rem}
.confusion td{text-align:center;padding:.35rem .4rem;min-width:2.6rem;border:1px solid var(--card)}
.confusion .recall{text-align:right;padding-left:.8rem}
.confusion tbody th{min-width:0;white-space:nowrap;padding:.35rem .75rem .35rem 0;
border-top-color:transparent;position:sticky;left:0;background:var(--card)}
.confusion .corner{font-weight:400}
.confusion .turned{text-align:center;padding:.35rem .2rem}
.turned span{writing-mode:vertical-rl;transform:rotate(180deg);max-height:9rem;overflow:hidden}
.zero{color:var(--muted)}
.right,.wrong{print-color-adjust:exact;-webkit-print-color-adjust:exact}
.h0{background:var(--soft)}
.facts{display:grid;gap:.35rem;font-size:.9rem}
.facts div{display:grid;grid-template-columns:minmax(8rem,14rem) 1fr;gap:1rem}
.facts dd{min-width:0;overflow-wrap:anywhere}
details{margin-top:.75rem}
summary{cursor:pointer;color:var(--accent);font-size:.9rem}
footer{color:var(--muted);font-size:.85rem;margin-top:1.5rem}
.right.h1{background:rgba(var(--heat),.1)}.right.h2{background:rgba(var(--heat),.15)}
.right.h3{background:rgba(var(--heat),.2)}.right.h4{background:rgba(var(--heat),.24)}
.right.h5{background:rgba(var(--heat),.28)}.right.h6{background:rgba(var(--heat),.32)}
.right.h7{background:rgba(var(--heat),.36)}.right.h8{background:rgba(var(--heat),.4)}
.right.h9{background:rgba(var(--heat),.44)}.right.h10{background:rgba(var(--heat),.48)}
.wrong.h1{background:rgba(var(--miss),.1)}.wrong.h2{background:rgba(var(--miss),.17)}
.wrong.h3{background:rgba(var(--miss),.23)}.wrong.h4{background:rgba(var(--miss),.29)}
.wrong.h5{background:rgba(var(--miss),.34)}.wrong.h6{background:rgba(var(--miss),.38)}
.wrong.h7{background:rgba(var(--miss),.42)}.wrong.h8{background:rgba(var(--miss),.45)}
.wrong.h9{background:rgba(var(--miss),.48)}.wrong.h10{background:rgba(var(--miss),.5)}
)css"
    R"css(@media screen and (max-width:40rem){
body{padding:1rem .75rem 2rem}
section{padding:1rem .9rem}
.verdict{font-size:1.05rem;padding:.9rem}
nav{overflow-x:auto}nav ul{flex-wrap:nowrap}nav a{white-space:nowrap}
.bars,.bars tbody,.bars tr,.bars td,.bars th{display:block}
.bars thead{display:none}
.bars tr{display:grid;grid-template-columns:1fr auto;gap:.1rem .75rem;padding:.75rem 0;
border-top:1px solid var(--line)}
.bars tr:first-child{border-top:0;padding-top:0}
.bars td,.bars tbody th{border:0;padding:0;width:auto;white-space:normal;overflow-wrap:anywhere}
.bars tbody th{grid-column:1;grid-row:1}
.bars .v{grid-column:2;grid-row:1;width:auto;text-align:right}
.bars .m{grid-column:1;grid-row:2}
.bars .l{grid-column:2;grid-row:2;text-align:right}
.bars .m::before,.bars .l::before{content:attr(data-label) " ";color:var(--muted);font-weight:400;
font-size:.825rem}
.facts div{grid-template-columns:1fr;gap:0}
.chart{min-width:8rem}
.bars .l.empty{display:none}
.percentiles .chart,.percentiles tbody th{min-width:3.6rem}
.percentiles th,.percentiles td{padding-left:.4rem;padding-right:.4rem}
.picture{max-height:75vh}
}
@media print{
@page{margin:14mm 12mm}
:root{--page:#fff;--line:#c3ced6}
html{font-size:8.5pt}
body{max-width:none;padding:0;background:#fff}
nav,footer{display:none}
section{border:0;border-radius:0;padding:0;margin:0 0 1.6rem}
.notice{border-left:.35rem solid var(--warn-fill);padding-left:1rem}
h1,h2,h3,h4,.intro{break-after:avoid}
tr,.card,.tile,.verdict,.notice,.tiles{break-inside:avoid}
thead{display:table-header-group}tfoot{display:table-row-group}
.scroll,.picture{overflow:visible;max-height:none}
.picture{border:0}
.picture svg{width:auto;height:auto;max-width:100%;max-height:235mm}
.scroll table{table-layout:auto}
th,td{padding:.3rem .45rem}
.n,.under,.bars .m,.bars .l{white-space:normal}
.scroll tbody th,.scroll tfoot th{min-width:0;max-width:none;overflow-wrap:anywhere}
.chart{min-width:6rem}
.confusion td{min-width:0}
.confusion tbody th{position:static}
.verdict,.pill,.tile,.subjects li,.part::before{print-color-adjust:exact;
-webkit-print-color-adjust:exact}
details::details-content{content-visibility:visible;block-size:auto;opacity:1}
summary{display:none}
}
)css";

}  // namespace

std::string_view page_style() { return kStyle; }

}  // namespace graupel::report
