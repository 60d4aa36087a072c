/** Generated from `page/` by `npm run build:page`. Do not edit. */
export const page: string = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8" />
<meta name="viewport" content="width=device-width, initial-scale=1" />
<meta name="color-scheme" content="light dark" />
<title>Tidemark</title>
<link rel="icon" href="data:image/svg+xml,<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'><circle cx='8' cy='8' r='7' fill='%230b7a75'/></svg>" />
<style>
:root{--ink: #1d2a2f;--soft: #53646a;--line: #dfe6e4;--paper: #fff;--ground: #f3f6f4;--sea: #0a706b;--sea-pale: #e0f2ef;--amber: #8f5200;--amber-pale: #fdf0d8;--red:
#b3261e;--red-pale: #fce8e6;--fill-replica: #0b7a75;--fill-app: #7d8c92;--fill-session: #3f78b5;--fill-lag: #bd7a10;--fill-fault: #b3261e;--line-0: #0b7a75;--line-1:
#b85c00;--line-2: #2f6fb3;--line-3: #8b4a9c;--line-4: #6b6b00;--line-5: #c2185b;color-scheme:light}@media(prefers-color-scheme:dark){:root{--ink: #e3ebe9;--soft:
#a3b3b6;--line: #2c3a3e;--paper: #182225;--ground: #10181a;--sea: #5cc9bf;--sea-pale: #123735;--amber: #ecb964;--amber-pale: #3a2b0e;--red: #f59a92;--red-pale: #43211e;
--fill-replica: #2fa89e;--fill-app: #84959b;--fill-session: #6aa3de;--fill-lag: #dda03a;--fill-fault: #e5695f;--line-0: #4cc3b8;--line-1: #ef9a4d;--line-2: #74b0ee;
--line-3: #cf92e0;--line-4: #c3c34e;--line-5: #f2789f;color-scheme:dark}}*{box-sizing:border-box}[hidden]{display:none}body{margin:0;background:var(--ground);color:var(--ink);
font:15px/1.5 system-ui,sans-serif;font-variant-numeric:tabular-nums}main{max-width:80rem;margin:0 auto;padding:1.5rem 1.25rem 3rem}h1,h2,p,ol,ul,dl,dd{margin:0;
padding:0}h1{font-size:1.35rem;letter-spacing:-.02em}h2{font-size:1rem}ol,ul{list-style:none}:focus-visible{outline:2px solid var(--sea);outline-offset:2px;border-radius:6px}
header,.title,.controls{display:flex;flex-wrap:wrap;align-items:center;justify-content:space-between;gap:.25rem 1rem}.title{margin-bottom:.75rem;min-height:2rem}
.title p,.hint,.note,#paused{color:var(--soft);font-size:.87rem}section,#figures{background:var(--paper);border:1px solid var(--line);border-radius:14px;padding:1rem
1.25rem;margin-top:1rem}#connection{display:flex;align-items:center;gap:.5rem;padding:.1rem .75rem;border-radius:99px;background:var(--amber-pale);color:var(--amber);
font-size:.87rem}#connection:before{content:"";width:.6rem;height:.6rem;border-radius:50%;border:2px solid currentColor}#connection[data-state=live]{background:var(--sea-pale);
color:var(--sea)}#connection[data-state=live]:before{background:currentColor}#connection:is([data-state=lost],[data-state=refused]),#trouble{background:var(--red-pale);
color:var(--red)}#trouble,#verdict p,.lag-name,#moment-marks li,.meaning,.said{overflow-wrap:anywhere}#trouble{margin-top:1rem;padding:.6rem 1.25rem;border-radius:10px}
#data:is([data-state=lost],[data-state=refused]){filter:grayscale(1);opacity:.8}#verdict{display:flex;align-items:center;gap:.9rem;font-size:1.15rem;background:var(--ground)}
#verdict-text{font-weight:600}#verdict-icon{flex:none;display:grid;place-items:center;width:2rem;height:2rem;border-radius:50%;background:var(--soft);color:var(--paper);
font-weight:700}#verdict:not([data-level=unknown]){border-color:transparent}#verdict[data-level=good]{background:var(--sea-pale);color:var(--sea)}[data-level=good]
#verdict-icon{background:var(--sea)}#verdict[data-level=warn]{background:var(--amber-pale);color:var(--amber)}[data-level=warn] #verdict-icon{background:var(--amber)}
#verdict[data-level=bad]{background:var(--red-pale);color:var(--red)}[data-level=bad] #verdict-icon{background:var(--red)}#figures{display:grid;grid-template-columns:repeat(auto-fit,minmax(8.75rem,1fr));
gap:1rem 1.25rem}#figures dt,#figures .detail{color:var(--soft);font-size:.82rem;line-height:1.35}#figures dd:not(.detail){font-size:1.5rem;line-height:1.4;letter-spacing:-.02em}
#figures .notable dd{color:var(--amber)}button,select{font:inherit;font-size:.87rem;color:inherit;background:var(--paper);border:1px solid var(--soft);border-radius:8px;
padding:.25rem .75rem;cursor:pointer}button:hover,select:hover{border-color:var(--sea);background:var(--sea-pale)}button[aria-pressed=true]{background:var(--amber-pale);
border-color:var(--amber);color:var(--amber)}table{width:100%;border-collapse:collapse;font-size:.9rem}th{color:var(--soft);font-weight:400;font-size:.82rem;text-align:left}
th,td{padding:.35rem .75rem .35rem 0;border-bottom:1px solid var(--line);vertical-align:top}:is(th,td):last-child{padding-right:0}tbody tr:last-child td{border-bottom:0}
.number{text-align:right;white-space:nowrap}.unproven{color:var(--amber)}.tag{display:inline-block;padding:0 .55rem;border-radius:99px;font-size:.8rem;white-space:nowrap;
background:var(--ground);color:var(--soft)}.tag.good,.replica-tag{background:var(--sea-pale);color:var(--sea)}.tag.warn,.primary-tag{background:var(--amber-pale);
color:var(--amber)}.tag.bad{background:var(--red-pale);color:var(--red)}#servers th:first-child{width:34%}#lags{margin-top:.5rem}.server{overflow-wrap:anywhere}
.server b{font-weight:600;margin-right:.6rem}.zone{margin-left:.6rem;color:var(--soft);font-size:.82rem}.state:before{content:"✓";margin-right:.45rem;font-weight:700;
color:var(--sea)}.unused .state{color:var(--red);font-weight:600}.unused .state:before{content:"✕";color:var(--red)}.excluded .state:before{content:"–";color:var(--soft)}
.why{display:block;color:var(--soft);overflow-wrap:anywhere}#charts{display:grid;grid-template-columns:minmax(0,3fr) minmax(0,2fr);grid-template-rows:auto 1fr;column-gap:1rem}
#reasons-section{align-self:start;grid-column:2;grid-row:1 / span 2}.hint{margin-top:.5rem}.chart{touch-action:pan-y;cursor:crosshair}.chart svg{display:block}.axis{
fill:var(--soft);font-size:11.5px}.grid{stroke:var(--line)}.base{stroke:var(--soft)}.lane{stroke:var(--line);stroke-dasharray:1 3}.cursor{fill:var(--ink);opacity:.13}
.patterns{position:absolute}.replica{color:var(--ink)}pattern.replica{color:var(--fill-replica)}pattern.app{color:var(--fill-app)}pattern.session{color:var(--fill-session)}
pattern.lag{color:var(--fill-lag)}pattern.fault{color:var(--fill-fault)}.overlay{stroke:var(--paper);stroke-width:1.2;fill:none}.wait{fill:var(--fill-session)}.fallback{
fill:var(--fill-lag)}.refused{stroke:var(--fill-fault);stroke-width:3}.mark{fill:var(--amber)}.mark:is(.failover,.lost-write){fill:var(--red)}.mark.topology{fill:var(--soft)}
.curve{fill:none;stroke-width:2;stroke-linejoin:round}.curve.other{stroke:var(--soft);stroke-width:1;opacity:.5}.line-0{stroke:var(--line-0)}.line-1{stroke:var(--line-1)}
.line-2{stroke:var(--line-2)}.line-3{stroke:var(--line-3)}.line-4{stroke:var(--line-4)}.line-5{stroke:var(--line-5)}.swatch,.icon{width:.8rem;height:.8rem;margin-right:.5rem;
flex:none}.key{width:1.75rem;height:.75rem;margin-right:.6rem;vertical-align:baseline}#moment{margin:-.5rem 0 .5rem;color:var(--soft);font-size:.87rem}#moment-marks
li{display:flex;align-items:baseline;padding-bottom:.4rem;font-size:.9rem}.named{display:flex;flex-wrap:wrap;align-items:baseline;gap:0 .6rem;margin-bottom:.15rem}
.named b{font-weight:600}#filter{max-width:10rem}.meaning{display:block;color:var(--soft);font-size:.82rem;line-height:1.4}#events{font-size:.9rem;max-height:17rem;
overflow-y:auto}#events li{display:grid;grid-template-columns:4.5rem 1.3rem 6rem minmax(0,1fr);align-items:baseline;padding:.35rem 0;border-bottom:1px solid var(--line)}
#events li:last-child{border-bottom:0}time,.kind{color:var(--soft)}.advice{display:block;color:var(--soft)}#latest-scroll{max-height:26rem;overflow-y:auto}#latest
thead th{position:sticky;top:0;background:var(--paper)}#latest td{padding-top:.2rem;padding-bottom:.2rem;overflow-wrap:anywhere}#latest .tag{margin-right:.6rem}
#latest :is(th,td):last-child{padding-left:1rem}#latest .time,#latest .reason{white-space:nowrap}.outcome.discarded{color:var(--amber)}.outcome.failed{color:var(--red)}
@media(max-width:56rem){#charts{display:block}}@media(max-width:40rem){main{padding:1rem .75rem 2rem}section,#figures{padding:.85rem .9rem}#figures{grid-template-columns:1fr
1fr}#servers thead,#latest thead{position:absolute;clip-path:inset(50%);width:1px;height:1px;overflow:hidden}:is(#servers,#latest):not([hidden]),:is(#servers,#latest)
tbody{display:block}#servers tr,#latest tr{display:grid;padding:.5rem 0;border-bottom:1px solid var(--line);column-gap:.75rem}#servers tr{display:flex;flex-wrap:wrap}
#servers :is(.server,.state-cell){flex-basis:100%}#latest tr{grid-template:"time command took" "server server outcome" "reason reason level" / auto 1fr auto}#servers
td,#latest tr td{border:0;padding:0;text-align:left}#servers tr:last-child,#latest tr:last-child{border:0}#servers .number:before{color:var(--soft)}.lag:before{
content:"lag "}.bytes:before{content:"behind "}.latency:before{content:"latency "}.primary :is(.lag,.bytes){display:none}#latest .time{grid-area:time;color:var(--soft)}
#latest .command{grid-area:command;font-weight:600}#latest .server{grid-area:server}#latest .reason{grid-area:reason}#latest tr .took{grid-area:took;text-align:right}
#latest tr .outcome{grid-area:outcome;text-align:right}#latest tr .level{grid-area:level;color:var(--soft);text-align:right}#events li{grid-template-columns:4.5rem
1.3rem minmax(0,1fr)}.said{grid-column:1 / -1}}
</style>
</head>
<body>
<main>
<header>
<h1>Tidemark</h1>
<p id="connection" role="status" data-state="connecting"></p>
</header>
<p id="trouble" role="alert" hidden></p>
<noscript><p class="note">This page needs JavaScript.</p></noscript>

<div id="data" data-state="connecting">
<section id="verdict" aria-label="Verdict" data-level="unknown">
<span id="verdict-icon" aria-hidden="true"></span>
<p><span id="verdict-text" role="status"></span> <span id="verdict-share"></span></p>
</section>

<dl id="figures" aria-label="Figures"></dl>

<section aria-labelledby="servers-title">
<div class="title">
<h2 id="servers-title">Servers</h2>
<button type="button" id="all-servers" aria-expanded="false" hidden></button>
</div>
<table id="servers" aria-labelledby="servers-title">
<thead>
<tr>
<th scope="col">Server</th>
<th scope="col">State</th>
<th scope="col" class="number">Lag</th>
<th scope="col" class="number">Bytes behind</th>
<th scope="col" class="number">Latency</th>
</tr>
</thead>
<tbody></tbody>
</table>
<p id="no-servers" class="note"></p>
</section>

<div id="charts">
<section aria-labelledby="reads-title">
<div class="title">
<h2 id="reads-title">Where reads went</h2>
<p>reads per second, by reason</p>
</div>
<div id="reads-chart" class="chart"></div>
<p class="hint">Point at a chart, or focus it and press the arrow keys, to see one moment.</p>
</section>

<section id="reasons-section" aria-labelledby="reasons-title">
<div class="title"><h2 id="reasons-title">Why they went there</h2></div>
<p id="moment"></p>
<ul id="moment-marks"></ul>
<table id="reasons" aria-labelledby="reasons-title">
<thead>
<tr>
<th scope="col">Reason</th>
<th scope="col" class="number">Reads</th>
<th scope="col" class="number">Share</th>
</tr>
</thead>
<tbody></tbody>
</table>
<p id="no-reads" class="note">No reads in the last five minutes.</p>
</section>

<section aria-labelledby="lag-title">
<div class="title">
<h2 id="lag-title">How far replicas lag</h2>
<p>at most, as far as it is proven</p>
</div>
<div id="lag-chart" class="chart"></div>
<table id="lags" aria-labelledby="lag-title">
<thead>
<tr>
<th scope="col">Replica</th>
<th scope="col" class="number">Lag</th>
</tr>
</thead>
<tbody></tbody>
</table>
<p id="other-lags" class="note"></p>
</section>
</div>

<section aria-labelledby="events-title">
<div class="title"><h2 id="events-title">Events</h2></div>
<ol id="events" aria-labelledby="events-title"></ol>
<p id="no-events" class="note">Nothing has happened.</p>
</section>

<section aria-labelledby="latest-title">
<div class="title">
<h2 id="latest-title">Latest reads</h2>
<div class="controls">
<span id="paused"></span>
<label>Reason <select id="filter"></select></label>
<button type="button" id="pause" aria-pressed="false">Pause</button>
</div>
</div>
<div id="latest-scroll">
<table id="latest" aria-labelledby="latest-title">
<thead>
<tr>
<th scope="col">Time</th>
<th scope="col">Command</th>
<th scope="col">Server</th>
<th scope="col">Reason</th>
<th scope="col">Level</th>
<th scope="col" class="number">Took</th>
<th scope="col">Outcome</th>
</tr>
</thead>
<tbody></tbody>
</table>
<p id="no-latest" class="note">No reads yet.</p>
</div>
</section>
</div>
</main>
<script type="module">
var Ie="http://www.w3.org/2000/svg";function l(t){let e=document.getElementById(t);if(e===null)throw new Error(\`the page has no element #\${t}\`);return e}function k(t){
let e=l(t).querySelector("tbody");if(e===null)throw new Error(\`the table #\${t} has no body\`);return e}function h(t,e={},...n){let r=document.createElement(t);for(let[
o,s]of Object.entries(e))r.setAttribute(o,s);return r.append(...n),r}function p(t,e={},...n){let r=document.createElementNS(Ie,t);for(let[o,s]of Object.entries(
e))r.setAttribute(o,String(s));return r.append(...n),r}function me(){let t={table:"table","thead, tbody":"rowgroup",tr:"row",th:"columnheader"};for(let[e,n]of Object.
entries(t))for(let r of document.querySelectorAll(e))r.setAttribute("role",n)}function f(t,...e){return h("td",{role:"cell",class:t},...e)}function S(...t){return h(
"tr",{role:"row"},...t)}function u(t,e){t.textContent!==e&&(t.textContent=e)}function T(t,e){for(let[n,r]of e.entries())t.children[n]!==r&&t.insertBefore(r,t.children[n]??
null);for(;t.children.length>e.length;)t.lastElementChild?.remove()}var he="M0 -5L5 4H-5Z",Pe="M-5 -3L-3 -5L0 -2L3 -5L5 -3L2 0L5 3L3 5L0 2L-3 5L-5 3L-2 0Z",F={"lost-write":{word:"lost write",shape:Pe,weight:6},failover:{word:"fa\\
ilover",shape:"M0 -5.5L5.5 0L0 5.5L-5.5 0Z",weight:5},warning:{word:"warning",shape:he,weight:4},loss:{word:"servers",shape:he,weight:3},"stale-read":{word:"sta\\
le read",shape:"M-4 -4H4V4H-4Z",weight:2},"late-write":{word:"late write",shape:"M-5 -4H5L0 5Z",weight:1},topology:{word:"servers",shape:"M-4 0A4 4 0 1 0 4 0A4 \\
4 0 1 0 -4 0Z",weight:0}};function A({kind:t,isLoss:e=!1}){return e?"loss":t}function ue(t){return F[t].word}function pe(t){return t.map(A).toSorted((e,n)=>F[n].
weight-F[e].weight)[0]}function ee(t){return p("path",{d:F[t].shape,class:\`mark \${t}\`})}function j(t){return p("svg",{viewBox:"-6 -6 12 12",class:"icon","aria-h\\
idden":"true"},ee(t))}function y(t){return t.toLocaleString("en",{maximumFractionDigits:1})}function H(t){return t.toLocaleString("en",{maximumFractionDigits:t<10?1:0})}function v(t){
if(t<9.95)return\`\${(Math.round(t*10)/10).toLocaleString("en")} ms\`;if(t<999.5)return\`\${Math.round(t)} ms\`;if(t<59950)return\`\${(t/1e3).toFixed(1)} s\`;let e=Math.
round(t/1e3);return\`\${Math.floor(e/60)} min \${e%60} s\`}function fe(t){return t<1e3?\`\${t} B\`:t<999500?\`\${te(t/1e3)} KB\`:t<9995e5?\`\${te(t/1e6)} MB\`:\`\${te(t/1e9)} \\
GB\`}function O(t){let e=Math.round(t*100);return e===0&&t>0?"< 1 %":e===100&&t<1?"> 99 %":\`\${e} %\`}function x(t){return new Date(t).toLocaleTimeString("en-GB")}
function te(t){return t<10?t.toFixed(1):t.toFixed(0)}var I=class{#e;show(e){this.#e!==e&&(this.#e=e,l("events").replaceChildren(...e.toReversed().map(Ve)),l("events").hidden=e.length===0,l("no-events").hidden=e.length>
0)}};function Ve(t){let{at:e,text:n,advice:r}=t,o=A(t),s=h("p",{class:"said"},n);r!==void 0&&s.append(h("span",{class:"advice"},r));let a=h("time",{datetime:new Date(
e).toISOString()},x(e));return h("li",{},a,j(o),h("span",{class:"kind"},ue(o)),s)}var P=class{#e;#t;#o;#r;#s;#n="connecting";constructor(e,n,r){this.#e=e,this.#t=n,this.#o=r}open(){let e=new EventSource(this.#e);this.#r=e;for(let n of["histor\\
y","sample","mark","reads"])this.#a(e,n);e.addEventListener("open",()=>this.#d()),e.addEventListener("error",()=>this.#m(e)),this.#d()}#a(e,n){e.addEventListener(
n,({data:r})=>{let o=JSON.parse(r);this.#i(),this.#t[n](o)})}#i(){this.#l("live",""),this.#d()}#d(){clearTimeout(this.#s),this.#s=window.setTimeout(()=>{this.#l(
"lost","The app has sent nothing for five seconds. Trying again."),this.#r?.close(),this.open()},5e3)}#m(e){if(e===this.#r){if(clearTimeout(this.#s),e.readyState!==
EventSource.CLOSED){this.#n!=="refused"&&this.#l("lost","The connection to the app is lost. Trying again.");return}this.#c().then(n=>{e===this.#r&&this.#l("refu\\
sed",n)}),window.setTimeout(()=>this.open(),5e3)}}async#c(){let e=new AbortController;try{let n=await fetch(this.#e,{headers:{Accept:"text/event-stream"},signal:e.
signal});if(n.ok)return"The app sent no feed. Trying again.";let r=(await n.text()).trim().slice(0,400);return\`The app refused with status \${n.status}. \${r}\`}catch{
return"The app does not answer. Trying again."}finally{e.abort()}}#l(e,n){this.#n===e&&e==="live"||(this.#n=e,this.#o(e,n))}};var Ge=["known","checked","primary-gone","unproven"],_e=["check-failed","missing-key","replica-failed"];function E(t){let e=new Map;for(let{commands:r}of t)for(let{
reason:o,count:s}of r)o!=="not-a-read"&&e.set(o,(e.get(o)??0)+s);let n=ne(e,_e);for(let r of["checked","known"]){let o=e.get(r)??0,s=Math.max(0,o-n);n-=o-s,s===
0?e.delete(r):e.set(r,s)}return e}function w(t){return ne(t,[...t.keys()])}function V(t){let e=w(t);return e===0?void 0:ne(t,Ge)/e}function ne(t,e){return e.reduce(
(n,r)=>n+(t.get(r)??0),0)}var We=["Answered by replicas","Reads per second","Largest lag now","Waits for a replica","Fallbacks","Refused","In line now"],Be=60,G=class{#e=We.map(e=>{let[n,
r]=[h("dd"),h("dd",{class:"detail"})],o=h("div",{},h("dt",{},e),n,r);return{name:e,group:o,value:n,detail:r}});constructor(){l("figures").replaceChildren(...this.#e.
map(({group:e})=>e))}show(e){let n=ze(e);for(let{name:r,group:o,value:s,detail:a}of this.#e){let i=n[r];u(s,i.value),u(a,i.detail),o.classList.toggle("notable",
i.isBad===!0)}}};function ze(t){let e=V(E(t.slice(-Be))),n=d=>t.reduce((c,m)=>c+d(m),0),r=n(({waits:d})=>d.timedOut),o=n(({waits:d})=>d.aborted),s=n(({fallback:d})=>d.
refused),a=t.at(-1),i=t.slice(-10);return{"Answered by replicas":{value:e===void 0?"–":O(e),detail:"of reads, last minute"},"Reads per second":{value:H(w(E(i))/
Math.max(1,i.length)),detail:"in the last 10 s"},"Largest lag now":Ue(a),"Waits for a replica":{value:y(n(({waits:d})=>d.caughtUp)+r+o),detail:De(r,o),isBad:r>0},
Fallbacks:{value:y(n(({fallback:d})=>d.reads)),detail:"in 5 min"},Refused:{value:y(s),detail:"in 5 min",isBad:s>0},"In line now":{value:y(a?.fallback.waiting??0),
detail:\`\${y(a?.fallback.active??0)} at the primary\`,isBad:(a?.fallback.waiting??0)>0}}}function De(t,e){let n=[...t>0?[\`\${y(t)} timed out\`]:[],...e>0?[\`\${y(e)} \\
aborted\`]:[]];return n.length===0?"in 5 min":n.join(", ")}function Ue(t){let e=(t?.nodes??[]).filter(({role:s,state:a})=>s==="replica"&&a!=="excluded"),n=e.flatMap(
({lagMs:s})=>s===void 0?[]:[s]),r=e.length-n.length,o=n.length===0?"–":v(Math.max(...n));return e.length===0?{value:o,detail:"no replica"}:{value:o,detail:r===
0?"of all replicas":\`\${r} not proven\`,isBad:r>0}}var _=class{samples=[];marks=[];received=0;#e=[];#t=new Map;replace({samples:e,marks:n,reads:r}){this.samples=[],this.#e=[],this.#t=new Map,this.marks=n.slice(-100);
for(let o of e)this.addSample(o);this.#o(r)}addSample(e){this.samples=[...this.samples.filter(({at:n})=>n>e.at-3e5),e]}addMark(e){this.marks=[...this.marks,e].slice(
-100)}addReads(e){this.received+=e.length,this.#o(e)}reads(e){return e===void 0?this.#e:this.#t.get(e)??[]}#o(e){this.#e=[...this.#e,...e].slice(-100);for(let n of new Set(
e.map(r=>r.reason))){let r=[...this.reads(n),...e.filter(o=>o.reason===n)];this.#t.set(n,r.slice(-100))}}};var C=5e3,b=3e5/C;function ye({samples:t,marks:e}){let n=Math.max(t.at(-1)?.at??0,e.at(-1)?.at??0),r=ge(n);return Array.from({length:b},(o,s)=>{let a=r-(b-1-s)*
C,i=({at:d})=>ge(d)===a;return we(a,t.filter(i),e.filter(i))})}function ve({samples:t,marks:e}){return we(t[0]?.at??0,t,e)}function ge(t){return Math.floor(t/C)*
C}function we(t,e,n){let r=E(e),o=s=>e.reduce((a,i)=>a+s(i),0);return{from:t,samples:e,marks:n,counts:r,rate:w(r)/Math.max(1,e.length),waits:o(({waits:s})=>s.caughtUp+
s.timedOut+s.aborted),fallbacks:o(({fallback:s})=>s.reads),refused:o(({fallback:s})=>s.refused)}}var R={left:62,right:10,top:10,bottom:28},Ke=[1,2,5,10],N=class{#e;#t;#o;#r;#s;#n=[];constructor(e,n,{text:r,height:o,lanes:s=0}){this.#e=e,this.#t=n,this.#o=r,
this.#r=o,this.#s=s;let a={role:"slider",tabindex:"0","aria-label":r.label,"aria-valuemin":"0"};for(let[i,d]of Object.entries(a))e.setAttribute(i,d);e.setAttribute(
"aria-valuemax",String(b-1)),e.addEventListener("pointermove",i=>this.#c(i)),e.addEventListener("pointerdown",i=>this.#c(i)),e.addEventListener("pointerleave",()=>this.#l()),
e.addEventListener("keydown",i=>this.#p(i)),e.addEventListener("focus",()=>this.#u()),e.addEventListener("blur",()=>n.moveTo(void 0))}draw(e,n,{label:r,paint:o}){
this.#n=e;let s=Ze(n),a=s*Math.max(1,Math.ceil(n/s-1e-9)),i=this.#a(a),d=this.#e.clientWidth,c=this.#r+this.#s,m=p("svg",{width:d,height:c,"aria-hidden":"true"});
for(let g=0;g<=a+s/2;g+=s)m.append(...qe(i,g,r(g)));m.append(...this.#i(i),...this.#d(i),...o(i)),this.#e.replaceChildren(m),this.#m()}#a(e){let n=Math.max(R.left+
b,this.#e.clientWidth-R.right),r=this.#r-R.bottom,o=this.#n[0]?.from??0,s=n-R.left;return{left:R.left,right:n,top:R.top,bottom:r,momentWidth:s/b,x:a=>R.left+(a-
o)/3e5*s,y:a=>r-a/e*(r-R.top)}}#i({left:e,right:n,bottom:r}){let o=r+this.#s+20;return Array.from({length:6},(s,a)=>{let i=e+a/5*(n-e);return a===5?[p("text",{x:i,
y:o,"text-anchor":"end",class:"axis"},"now")]:a===4&&n-e<300?[]:[p("text",{x:i,y:o,"text-anchor":"middle",class:"axis"},\`−\${5-a} min\`)]}).flat()}#d({x:e,top:n,
bottom:r,momentWidth:o}){let{at:s}=this.#t;if(s===void 0||!this.#n.some(({from:i})=>i===s))return[];let a=r-n+this.#s;return[p("rect",{x:e(s),y:n,width:o,height:a,
class:"cursor"})]}#m(){let{at:e}=this.#t,n=this.#n.findIndex(({from:o})=>o===e),r=this.#n[n]??this.#n.at(-1);r!==void 0&&(this.#e.setAttribute("aria-valuenow",String(
n<0?b-1:n)),this.#e.setAttribute("aria-valuetext",n<0?"the last five minutes":this.#o.describe(r)))}#c({clientX:e}){let{left:n,right:r}=this.#a(1),o=e-this.#e.getBoundingClientRect().
left,s=Math.floor((o-n)/(r-n)*b);this.#h(Math.min(b-1,Math.max(0,s)))}#l(){document.activeElement!==this.#e&&this.#t.moveTo(void 0)}#u(){this.#e.matches(":focus\\
-visible")&&this.#t.at===void 0&&this.#h(b-1)}#p(e){let n=this.#t.at??this.#n.at(-1)?.from??0,r=this.#n.findIndex(({from:i})=>i===n),o=b-1,a={ArrowLeft:Math.max(
0,r-1),ArrowRight:Math.min(o,r+1),PageUp:Math.max(0,r-3e5/5/C),PageDown:Math.min(o,r+3e5/5/C),Home:0,End:o}[e.key];a===void 0&&e.key!=="Escape"||(e.preventDefault(),
a===void 0?this.#t.moveTo(void 0):this.#h(a))}#h(e){this.#t.moveTo(this.#n[e]?.from)}};function qe({left:t,right:e,y:n},r,o){let s=Math.round(n(r))+.5;return[p(
"line",{x1:t,x2:e,y1:s,y2:s,class:r===0?"base":"grid"}),p("text",{x:t-8,y:s+4,"text-anchor":"end",class:"axis"},o)]}function Ze(t){let e=t/4,n=10**Math.floor(Math.
log10(e));return(Ke.find(r=>r*n>=e-1e-9)??10)*n}var Je=190,W=6,Xe=10,xe=["","7 3","2 3","10 3 2 3","5 5","1 2"],B=class{#e;#t;#o=k("lags");#r=new Map;#s=new Map;constructor(e){let n={label:"Lag of the replica\\
s over the last five minutes",describe:Qe};this.#t=e,this.#e=new N(l("lag-chart"),e,{text:n,height:Je})}show(e){let n=this.#n(e),r=Math.max(Xe,...n.map(Se)),o=a=>n.
toReversed().flatMap(i=>tt(a,i,e));this.#e.draw(e,r,{label:v,paint:o});let s=e.findIndex(({from:a})=>a===this.#t.at);this.#a(n,s),u(l("other-lags"),Ye(n))}#n(e){
let n=e.map(ke),r=new Set(n.flatMap(c=>[...c.keys()])),o=e.flatMap(({samples:c})=>c).at(-1)?.nodes??[],s=new Set(o.flatMap(({address:c,role:m})=>m==="replica"?[
c]:[])),a=[...r].map(c=>({address:c,style:void 0,isReplica:s.has(c),lags:n.map(m=>m.get(c))})),i=a.filter(({isReplica:c})=>c).toSorted((c,m)=>be(m)-be(c)).slice(
0,W);return this.#r=et(i,this.#r),a.map(c=>({...c,style:this.#r.get(c.address)})).toSorted((c,m)=>(c.style??W)-(m.style??W))}#a(e,n){let r=new Map;for(let{address:o,
style:s,lags:a}of e){if(s===void 0)continue;let i=this.#s.get(o)??S(f("lag-name",Me(s),o),f("number")),d=a.at(n);i.lastElementChild&&u(i.lastElementChild,d===void 0?
"not proven":v(d)),i.classList.toggle("unproven",d===void 0),i.querySelector(".key")?.replaceWith(Me(s)),r.set(o,i)}this.#s=r,T(this.#o,[...r.values()]),l("lags").
hidden=r.size===0}};function Ye(t){let e=t.filter(({isReplica:s})=>s),n=e.filter(({style:s})=>s===void 0).length,r=e.length===0?"No replica is known.":"",o=n>0?
\`The other \${n} replicas are drawn thin. They lagged less.\`:r;return e.length<t.length?\`\${o} Former replicas are drawn thin.\`.trim():o}function Qe(t){let e=[...ke(
t)].toSorted(([,s=-1],[,a=-1])=>a-s),n=e.flatMap(([s,a])=>a===void 0?[]:[\`\${s} \${v(a)}\`]),r=e.length-n.length,o=[...n.slice(0,W),...r>0?[\`\${r} not proven\`]:[]];
return\`\${x(t.from)}: \${o.join(", ")}\`}function ke({samples:t}){let e=new Map;for(let{nodes:n}of t)for(let{address:r,role:o,lagMs:s}of n){if(o!=="replica")continue;
let a=e.has(r)?e.get(r):0;e.set(r,s===void 0||a===void 0?void 0:Math.max(a,s))}return e}function Se({lags:t}){return Math.max(0,...t.map((e=0)=>e))}function be(t){
return t.lags.at(-1)===void 0?Number.MAX_VALUE:Se(t)}function et(t,e){let n=t.flatMap(({address:s})=>{let a=e.get(s);return a===void 0?[]:[[s,a]]}),r=new Map(n),
o=xe.map((s,a)=>a).filter(s=>!n.some(([,a])=>a===s));for(let{address:s}of t)r.has(s)||r.set(s,o.shift()??0);return r}function tt({x:t,y:e,momentWidth:n},{style:r,
lags:o},s){let i=s.map(({from:d},c)=>{let m=o[c];if(m===void 0)return"";let g=\`\${(t(d)+n/2).toFixed(1)} \${e(m).toFixed(1)}\`;return o[c-1]===void 0?\`M\${g}h0.1\`:\`\\
L\${g}\`}).join("");return i===""?[]:[p("path",{d:i,...Te(r)})]}function Te(t){return t===void 0?{class:"curve other"}:{class:\`curve line-\${t}\`,"stroke-dasharray":xe[t]??
""}}function Me(t){let e=p("path",{d:"M1 6H27",...Te(t)});return p("svg",{viewBox:"0 0 28 12",class:"key","aria-hidden":"true"},e)}var Re="Look at the lag below. With waitMs a read waits for a replica.",M=[{reason:"known",family:"replica",pattern:0,meaning:"A replica answered. It was known \\
to have everything that the read must see.",normal:"normal"},{reason:"checked",family:"replica",pattern:1,meaning:"A replica answered. It proved with an INFO th\\
at it has everything that the read must see.",normal:"normal"},{reason:"primary-gone",family:"fault",pattern:1,meaning:"A replica answered without proof. The pr\\
imary is gone, and staleIfPrimaryGone allows the read.",normal:"a problem",advice:"Bring the primary back."},{reason:"unproven",family:"fault",pattern:2,meaning:'\\
A replica answered without proof at level "eventual". The primary is gone or is a proxy.',normal:"a problem",advice:"Bring the primary back. With a proxy this i\\
s expected."},{reason:"strong",family:"app",pattern:0,meaning:'The level is "strong", so only the primary may answer.',normal:"normal"},{reason:"not-live",family:"\\
app",pattern:2,meaning:'The mode is not "live", or the rollout has not reached the user.',normal:"normal"},{reason:"no-session",family:"app",pattern:1,meaning:"\\
The read belongs to no session.",normal:"normal if intended",advice:"To read from replicas, use req.redis, or call tidemark.redis inside a request or tidemark.r\\
un."},{reason:"write-in-flight",family:"session",pattern:0,meaning:"A write of the session has no answer yet, and the read must see this write.",normal:"normal",
advice:"If the read need not see the write, make the write untracked or give its keys a scope."},{reason:"missing-key",family:"session",pattern:1,meaning:"A rep\\
lica did not have the key, and the primary must confirm that the key is missing.",normal:"normal"},{reason:"asked",family:"session",pattern:2,meaning:"The key i\\
s being moved to another shard of the cluster.",normal:"normal if rare",advice:"Wait until the slot has moved."},{reason:"position-unknown",family:"session",pattern:3,
meaning:"The position of one of the session's writes is not known.",normal:"normal if rare",advice:"Right after an outage of the primary, wait until the tokens \\
expire. If it lasts, look for the warnings TIDEMARK_POSITION_UNKNOWN and TIDEMARK_PROXY."},{reason:"behind",family:"lag",pattern:0,meaning:"No replica is proven\\
, or is likely, to have the data that the read must see.",normal:"normal if rare",advice:Re},{reason:"read-ahead",family:"lag",pattern:1,meaning:"The session ha\\
s read newer data than the replicas are proven to have.",normal:"normal if rare",advice:Re},{reason:"check-failed",family:"lag",pattern:2,meaning:"A replica was\\
 tried and was behind. Its answer was discarded.",normal:"normal if rare",advice:"Look at the lag below."},{reason:"starting",family:"lag",pattern:3,meaning:"No\\
thing recent is known of the replicas, because the process has just started or was idle.",normal:"normal if rare",advice:"Wait a moment."},{reason:"replica-fail\\
ed",family:"fault",pattern:0,meaning:"A replica was tried and gave no usable answer.",normal:"a problem",advice:"Look at the replica's state, log and network."},
{reason:"unusable",family:"fault",pattern:3,meaning:"No replica may answer reads.",normal:"a problem",advice:"Look at the states of the servers."},{reason:"no-r\\
eplica",family:"fault",pattern:4,meaning:"There is no replica, or all have weight 0.",normal:"a problem",advice:"Compare the servers with the replicas that you \\
expect."}];var nt=240,Le=18,Ee=8,Ce=["events","waits","fallbacks"],rt=1,$e=6,st={replica:["","M-1 1L1 -1M0 6L6 0M5 7L7 5"],app:["M2 3H4","M1 1.5H2.5M4 4.5H5.5"],session:["\\
M0 3H6","M0 1.5H6M0 4.5H6","M0 3H3","M0 1.5H3M3 4.5H6"],lag:["M-1 -1L7 7","M-1 -1L7 7M2 -1L7 4M-1 2L4 7","M1 1L4 4","M1 1L4 4M4 1L5 2M1 4L2 5"],fault:["M0 0L6 6\\
M6 0L0 6","M3 0V6","M1.5 0V6M4.5 0V6","M3 0V6M0 3H6","M3 1V5M1 3H5"]},z=class{#e;constructor(e){let n={label:"Reads by reason over the last five minutes",describe:ot};
this.#e=new N(l("reads-chart"),e,{text:n,height:nt,lanes:Ee+Ce.length*Le}),document.body.append(dt())}show(e){let n=Math.max(rt,...e.map(o=>o.rate)),r=o=>[...e.
flatMap(s=>at(o,s)),...it(o,e)];this.#e.draw(e,n,{label:H,paint:r})}};function ot(t){return[\`\${x(t.from)}: \${oe(t)}\`,...t.marks.map(({text:e})=>e)].join(" ")}function oe({
counts:t,waits:e,fallbacks:n,refused:r}){return\`\${[se(w(t),"read"),...e>0?[se(e,"wait")]:[],...n>0?[se(n,"fallback")]:[],...r>0?[\`\${y(r)} refused\`]:[]].join(", ")}\\
.\`}function D(t){let e=p("rect",{width:12,height:12,rx:2,fill:\`url(#fill-\${t})\`});return p("svg",{viewBox:"0 0 12 12",class:"swatch","aria-hidden":"true"},e)}function se(t,e){
return\`\${y(t)} \${e}\${t===1?"":"s"}\`}function at({x:t,y:e,momentWidth:n},{from:r,counts:o,samples:s}){let a=Math.max(1,s.length),i=0;return M.flatMap(({reason:d})=>{
let c=(o.get(d)??0)/a;if(c===0)return[];let[m,g]=[e(i),e(i+c)];i+=c;let L={width:Math.max(1,n-1),height:Math.max(1,m-g)};return[p("rect",{x:t(r)+.5,y:g,...L,fill:\`\\
url(#fill-\${d})\`})]})}function it({left:t,right:e,bottom:n,x:r,momentWidth:o},s){let a=m=>n+Ee+(m+.5)*Le,i=Ce.flatMap((m,g)=>[p("text",{x:t-8,y:a(g)+4,"text-anc\\
hor":"end",class:"axis"},m),p("line",{x1:t,x2:e,y1:a(g),y2:a(g),class:"lane"})]),d=(m,g,L)=>(L.setAttribute("transform",\`translate(\${r(m)+o/2} \${a(g)})\`),L),c=s.
flatMap(({from:m,marks:g,waits:L,fallbacks:de,refused:Q})=>{let ce=pe(g);return[...ce===void 0?[]:[d(m,0,ee(ce))],...L===0?[]:[d(m,1,p("circle",{r:Oe(L),class:"\\
wait"}))],...de+Q===0?[]:[d(m,2,lt(de+Q,Q>0))]]});return[...i,...c]}function Oe(t){return Math.min(6,2.5+Math.log10(t))}function lt(t,e){let n=Oe(t);return e?p(
"path",{d:\`M\${-n} \${-n}L\${n} \${n}M\${n} \${-n}L\${-n} \${n}\`,class:"refused"}):p("rect",{x:-n,y:-n,width:2*n,height:2*n,class:"fallback"})}function dt(){let t=M.map(
ct);return p("svg",{width:0,height:0,class:"patterns","aria-hidden":"true"},...t)}function ct({reason:t,family:e,pattern:n}){let r={width:$e,height:$e},o={id:\`f\\
ill-\${t}\`,...r,patternUnits:"userSpaceOnUse",class:e},s=p("path",{d:st[e][n]??"",class:"overlay"});return p("pattern",o,p("rect",{...r,fill:"currentColor"}),s)}var U=class{#e;#t=l("pause");#o=new Map;#r;#s;constructor(e){this.#e=e;let n=l("filter");n.append(h("option",{value:""},"all"));for(let{reason:r}of M)n.append(h(
"option",{value:r},r));n.addEventListener("change",({target:r})=>{let o=r instanceof HTMLSelectElement?r.value:"";this.#r=M.find(({reason:s})=>s===o)?.reason,this.#n()}),
this.#t.addEventListener("click",()=>{this.#s=this.#s===void 0?e.received:void 0,this.#n()})}show(){this.#s===void 0?this.#n():this.#a()}#n(){let e=this.#e.reads(
this.#r).toReversed();this.#o=new Map(e.map(n=>[n,this.#o.get(n)??mt(n)])),T(k("latest"),[...this.#o.values()]),l("latest").hidden=e.length===0,l("no-latest").hidden=
e.length>0,u(l("no-latest"),this.#r===void 0?"No reads yet.":\`No reads with the reason \${this.#r}.\`),this.#a()}#a(){let e=this.#s!==void 0;this.#t.setAttribute(
"aria-pressed",String(e));let n=this.#e.received-(this.#s??0);u(l("paused"),e?\`Paused. \${y(n)} newer reads.\`:""),l("latest-scroll").classList.toggle("paused",e)}};
function mt({at:t,command:e,node:n,role:r,reason:o,level:s,durationMs:a,outcome:i}){return S(f("time",x(t)),f("command",e),f("server",h("span",{class:\`tag \${r}-\\
tag\`},r),n),f("reason",D(o),o),f("level",s),f("number took",v(a)),f(\`outcome \${i}\`,i))}var ht={normal:"good","normal if intended":"warn","normal if rare":"warn","a problem":"bad"},K=class{#e=new Map(M.map(e=>[e.reason,ut(e)]));show(e,n){let{counts:r}=n??
e,o=w(r),s=M.flatMap(({reason:a})=>{let i=this.#e.get(a);if(i===void 0||!e.counts.has(a))return[];let d=r.get(a)??0,[,c,m]=i.children;return c&&u(c,y(d)),m&&u(m,
o===0?"":O(d/o)),[i]});T(k("reasons"),s),l("reasons").hidden=s.length===0,l("no-reads").hidden=s.length>0,u(l("moment"),\`\${n?x(n.from):"Last five minutes"}: \${oe(
n??e)}\`),this.#t(n)}#t(e){let n=(e?.marks??[]).map(r=>h("li",{},j(A(r)),h("span",{},r.text)));l("moment-marks").replaceChildren(...n)}};function ut({reason:t,meaning:e,
normal:n,advice:r}){let o=h("span",{class:\`tag \${ht[n]}\`},n),s=h("span",{class:"named"},h("b",{},D(t),t),o),a=h("span",{class:"meaning"},r===void 0?e:\`\${e} \${r}\`);
return S(f("",s,a),f("number"),f("number"))}var q={serving:{phrase:"serves"},starting:{phrase:"is starting",advice:"Wait a moment."},silent:{phrase:"does not answer",advice:"Check that it runs, and its ho\\
st, port and TLS options."},unauthorized:{phrase:"refuses the user or the password",advice:"Set a user and a password that it accepts, or add the ACL rule +sele\\
ct."},loading:{phrase:"loads its data",advice:"Wait."},refusing:{phrase:"refuses reads",advice:"Look at its log and its ACL rules."},"unknown-position":{phrase:"\\
does not report its position",advice:"Add the ACL rule +info."},"other-primary":{phrase:"reports that it is a primary",advice:"Make it a replica with REPLICAOF,\\
 or remove it from the configuration."},"unknown-history":{phrase:"replicates from another primary",advice:"Give it the right primary with REPLICAOF, or remove \\
it from the configuration."},syncing:{phrase:"copies all data of its primary",advice:"Wait. If this repeats, raise repl-backlog-size and client-output-buffer-li\\
mit."},"link-down":{phrase:"has lost the connection to its primary",advice:"Check its log, its network and the password that it sends to its primary."},behind:{
phrase:"is too far behind",advice:"Check its load and its network."},skewed:{phrase:"has a clock that differs from the primary's",advice:"Synchronize the clocks\\
."},unproven:{phrase:'answers only reads at level "eventual", because the primary is a proxy'},excluded:{phrase:"has weight 0"},demoted:{phrase:"has become a re\\
plica, and no other primary is known",advice:"Check that a replica was promoted and that Tidemark knows it."}};var pt=12,ft=new Set(["silent","loading","unauthorized"]),Z=class{#e=k("servers");#t=l("all-servers");#o=l("no-servers");#r=new Map;#s=[];#n=!1;constructor(){this.#t.
addEventListener("click",()=>{this.#n=!this.#n,this.show(this.#s)})}show(e){this.#s=e;let n=e.length>pt,r=n&&!this.#n?e.filter(({eligible:s})=>!s):e,o=new Map;for(let s of r){
let a=this.#r.get(s.address)??new ae(s.address);a.show(s),o.set(s.address,a)}this.#r=o,T(this.#e,[...o.values()].map(({element:s})=>s)),l("servers").hidden=r.length===
0,this.#t.hidden=!n,this.#t.setAttribute("aria-expanded",String(this.#n)),u(this.#t,this.#n?"Show only servers that are not used":\`Show all \${e.length} servers\`),
u(this.#o,gt(e,r.length))}};function gt(t,e){return t.length===0?"No server is known yet.":e===0?\`All \${t.length} servers serve.\`:e<t.length?\`The other \${t.length-
e} servers serve.\`:""}var ae=class{#e=h("b");#t=h("span",{class:"tag"});#o=h("span",{class:"zone"});#r=h("span",{class:"state"});#s=h("span",{class:"why"});#n=f(
"number lag");#a=f("number bytes");#i=f("number latency");element=S(f("server",this.#e,this.#t,this.#o),f("state-cell",this.#r,this.#s),this.#n,this.#a,this.#i);constructor(e){
this.#e.textContent=e}show({role:e,state:n,eligible:r,reason:o,lagMs:s,lagBytes:a,latencyMs:i,zone:d}){this.element.className=r?e:\`\${e} \${n==="excluded"?"exclud\\
ed":"unused"}\`,this.#t.className=\`tag \${e}-tag\`,u(this.#t,e),u(this.#o,d===void 0?"":\`zone \${d}\`),u(this.#r,n),u(this.#s,yt({state:n,eligible:r,reason:o}));let c=e===
"primary";u(this.#n,c?"–":s===void 0?"not proven":v(s)),u(this.#a,c?"–":a===void 0?"unknown":fe(a));let m=i>0&&!ft.has(n);u(this.#i,m?v(i):"–"),this.#n.classList.
toggle("unproven",!c&&s===void 0),this.#a.classList.toggle("unproven",!c&&a===void 0)}};function yt({state:t,eligible:e,reason:n}){if(e)return"";let{phrase:r,advice:o}=q[t],
s=n??\`it \${r}\`,a=\`\${s.charAt(0).toUpperCase()}\${s.slice(1)}\${/[.!?]$/.test(s)?"":"."}\`;return o===void 0?a:\`\${a} \${o}\`}var J=class{#e;#t;constructor(e){this.#t=e}get at(){return this.#e}moveTo(e){this.#e!==e&&(this.#e=e,this.#t())}};var vt=.5,wt=6e4;function Ae(t){let e=t.at(-1);return e===void 0||e.nodes.length===0?{level:"unknown",text:"There is no data yet.",share:""}:{share:St(t.filter(
({at:r})=>r>e.at-wt)),...Mt(e.nodes,bt(t,e))}}function bt(t,{nodes:e}){let n=t.flatMap(o=>o.nodes.filter(({eligible:s})=>s)),r=new Map(n.map(o=>[o.address,o]));
for(let{address:o}of e)r.delete(o);return[...r.values()]}function Mt(t,e){let n=t.filter(({role:a})=>a==="primary"),r=n.filter(({state:a})=>a!=="serving");if(r.
length>0)return kt(r,n.length);let o=t.filter(({role:a,state:i})=>a==="replica"&&i!=="excluded");if(o.length===0)return{level:"warn",text:\`There is no replica. \${Ne(
e)}The primary answers all reads.\`,share:""};let s=o.filter(({eligible:a})=>!a);return s.length>0?xt(s,o):e.length>0?{level:"warn",text:\`\${Ne(e)}All others serv\\
e.\`}:{level:"good",text:o.length===1?"The replica serves.":"All replicas serve."}}function xt(t,e){if(t.length<e.length){let r=t.length===1?"is":"are";return{level:"\\
warn",text:\`\${t.length} of \${e.length} replicas \${r} not used: \${X(t)}.\`}}return{level:t.every(({state:r})=>r==="starting")?"warn":"bad",text:\`No replica is use\\
d: \${X(t)}.\`}}function Ne(t){if(t.length===0)return"";let e=t.every(({role:r})=>r==="replica")?"replica":"server";return\`\${t.length===1?\`1 \${e} has\`:\`\${t.length}\\
 \${e}s have\`} left in the last five minutes. \`}function kt(t,e){let n=t.every(({state:i})=>i==="starting"),r=n?"warn":"bad";if(e>1){let i=\`\${t.length} of \${e} p\\
rimaries cannot be used: \${X(t)}.\`;return{level:r,text:n?i:\`\${i} Writes to their keys fail.\`}}let s=\`The primary \${t.some(({state:i})=>i==="silent")?"is gone":"\\
cannot be used"}: \${X(t)}.\`;return{level:r,text:n?s:\`\${s} Writes fail. Replicas answer only reads that they can still prove.\`,share:""}}function X([t,...e]){if(t===
void 0)return"";let n=\`\${t.address} \${q[t.state].phrase}\`;return e.length===0?n:\`\${n}, and \${e.length} more\`}function St(t){let e=E(t),n=V(e);if(n===void 0)return"\\
No reads in the last minute.";let r=\`Replicas answered \${O(n)} of reads in the last minute.\`;if(n>=vt)return r;let o=M.filter(({reason:i})=>i!=="known"&&i!=="ch\\
ecked"),s=({reason:i})=>e.get(i)??0,[a]=o.toSorted((i,d)=>s(d)-s(i));return a===void 0||s(a)<w(e)/4?r:\`\${r} Most often the reason was \${a.reason}.\`}var Tt={connecting:"Connecting",live:"Live",lost:"Connection lost",refused:"Refused"},Fe={unknown:"…",good:"✓",warn:"!",bad:"✕"},$=new _,ie=new J(le),Rt=new G,
$t=new Z,Lt=new z(ie),Et=new K,Ct=new B(ie),Ot=new I,je=new U($),Nt={history:t=>{$.replace(t),Y(),je.show()},sample:t=>{$.addSample(t),Y()},mark:t=>{$.addMark(t),
Y()},reads:t=>{$.addReads(t),je.show()}};me();for(let t of["events","latest-scroll"])l(t).tabIndex=0;He("connecting","");Y();new ResizeObserver(le).observe(l("r\\
eads-chart"));new P(location.href.replace(/#.*$/,""),Nt,He).open();function Y(){let{samples:t,marks:e}=$,n=Ae(t);l("verdict").dataset.level=n.level,u(l("verdict\\
-icon"),Fe[n.level]),u(l("verdict-text"),n.text),u(l("verdict-share"),n.share),document.title=\`\${Fe[n.level]} Tidemark\`,Rt.show(t),$t.show(t.at(-1)?.nodes??[]),
Ot.show(e),le()}function le(){let t=ye($),e=t.find(({from:n})=>n===ie.at);Lt.show(t),Et.show(ve($),e),Ct.show(t)}function He(t,e){l("data").dataset.state=t,l("c\\
onnection").dataset.state=t,u(l("connection"),Tt[t]),u(l("trouble"),e),l("trouble").hidden=e===""}
</script>
</body>
</html>
`;
