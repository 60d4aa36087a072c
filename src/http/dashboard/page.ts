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
color:var(--red)}#trouble{margin-top:1rem;padding:.6rem 1.25rem;border-radius:10px;overflow-wrap:anywhere}#data:is([data-state=lost],[data-state=refused]){filter:grayscale(1);
opacity:.8}#verdict{display:flex;align-items:center;gap:.9rem;font-size:1.15rem;background:var(--ground)}#verdict p{overflow-wrap:anywhere}#verdict-text{font-weight:600}
#verdict-icon{flex:none;display:grid;place-items:center;width:2rem;height:2rem;border-radius:50%;background:var(--soft);color:var(--paper);font-weight:700}#verdict:not([data-level=unknown]){
border-color:transparent}#verdict[data-level=good]{background:var(--sea-pale);color:var(--sea)}[data-level=good] #verdict-icon{background:var(--sea)}#verdict[data-level=warn]{
background:var(--amber-pale);color:var(--amber)}[data-level=warn] #verdict-icon{background:var(--amber)}#verdict[data-level=bad]{background:var(--red-pale);color:var(--red)}
[data-level=bad] #verdict-icon{background:var(--red)}#figures{display:grid;grid-template-columns:repeat(auto-fit,minmax(8.75rem,1fr));gap:1rem 1.25rem}#figures dt,
#figures .detail{color:var(--soft);font-size:.82rem;line-height:1.35}#figures dd:not(.detail){font-size:1.5rem;line-height:1.4;letter-spacing:-.02em}#figures .notable
dd{color:var(--amber)}button,select{font:inherit;font-size:.87rem;color:inherit;background:var(--paper);border:1px solid var(--soft);border-radius:8px;padding:.25rem
.75rem;cursor:pointer}button:hover,select:hover{border-color:var(--sea);background:var(--sea-pale)}button[aria-pressed=true]{background:var(--amber-pale);border-color:var(--amber);
color:var(--amber)}table{width:100%;border-collapse:collapse;font-size:.9rem}th{color:var(--soft);font-weight:400;font-size:.82rem;text-align:left}th,td{padding:.35rem
.75rem .35rem 0;border-bottom:1px solid var(--line);vertical-align:top}:is(th,td):last-child{padding-right:0}tbody tr:last-child td{border-bottom:0}.number{text-align:right;
white-space:nowrap}.unproven{color:var(--amber)}.tag{display:inline-block;padding:0 .55rem;border-radius:99px;font-size:.8rem;white-space:nowrap;background:var(--ground);
color:var(--soft)}.tag.good,.replica-tag{background:var(--sea-pale);color:var(--sea)}.tag.warn,.primary-tag{background:var(--amber-pale);color:var(--amber)}.tag.bad{
background:var(--red-pale);color:var(--red)}#servers th:first-child{width:34%}#lags{margin-top:.5rem}.server{overflow-wrap:anywhere}.server b{font-weight:600;margin-right:.6rem}
.zone{margin-left:.6rem;color:var(--soft);font-size:.82rem}.state:before{content:"✓";margin-right:.45rem;font-weight:700;color:var(--sea)}.unused .state{color:var(--red);
font-weight:600}.unused .state:before{content:"✕";color:var(--red)}.excluded .state:before{content:"–";color:var(--soft)}.why{display:block;color:var(--soft);
overflow-wrap:anywhere}#charts{display:grid;grid-template-columns:minmax(0,3fr) minmax(0,2fr);grid-template-rows:auto 1fr;column-gap:1rem}#reasons-section{align-self:start;
grid-column:2;grid-row:1 / span 2}.hint{margin-top:.5rem}.chart{touch-action:pan-y;cursor:crosshair}.chart svg{display:block}.axis{fill:var(--soft);font-size:11.5px}
.grid{stroke:var(--line)}.base{stroke:var(--soft)}.lane{stroke:var(--line);stroke-dasharray:1 3}.cursor{fill:var(--ink);opacity:.13}.patterns{position:absolute}
.replica{color:var(--ink)}pattern.replica{color:var(--fill-replica)}pattern.app{color:var(--fill-app)}pattern.session{color:var(--fill-session)}pattern.lag{color:var(--fill-lag)}
pattern.fault{color:var(--fill-fault)}.overlay{stroke:var(--paper);stroke-width:1.2;fill:none}.wait{fill:var(--fill-session)}.fallback{fill:var(--fill-lag)}.refused{
stroke:var(--fill-fault);stroke-width:3}.mark{fill:var(--amber)}.mark:is(.failover,.lost-write){fill:var(--red)}.mark.topology{fill:var(--soft)}.curve{fill:none;
stroke-width:2;stroke-linejoin:round}.curve.other{stroke:var(--soft);stroke-width:1;opacity:.5}.line-0{stroke:var(--line-0)}.line-1{stroke:var(--line-1)}.line-2{
stroke:var(--line-2)}.line-3{stroke:var(--line-3)}.line-4{stroke:var(--line-4)}.line-5{stroke:var(--line-5)}.swatch,.icon{width:.8rem;height:.8rem;margin-right:.5rem;
flex:none}.key{width:1.75rem;height:.75rem;margin-right:.6rem;vertical-align:baseline}.lag-name{overflow-wrap:anywhere}#moment{margin:-.5rem 0 .5rem;color:var(--soft);
font-size:.87rem}#moment-marks li{display:flex;align-items:baseline;padding-bottom:.4rem;font-size:.9rem;overflow-wrap:anywhere}.named{display:flex;flex-wrap:wrap;
align-items:baseline;gap:0 .6rem;margin-bottom:.15rem}.named b{font-weight:600}#filter{max-width:10rem}.meaning{display:block;color:var(--soft);font-size:.82rem;
line-height:1.4}#events{font-size:.9rem;max-height:17rem;overflow-y:auto}#events li{display:grid;grid-template-columns:4.5rem 1.3rem 6rem minmax(0,1fr);align-items:baseline;
padding:.35rem 0;border-bottom:1px solid var(--line)}#events li:last-child{border-bottom:0}.said{overflow-wrap:anywhere}time,.kind{color:var(--soft)}.advice{display:block;
color:var(--soft)}#latest-scroll{max-height:26rem;overflow-y:auto}#latest thead th{position:sticky;top:0;background:var(--paper)}#latest td{padding-top:.2rem;padding-bottom:.2rem;
overflow-wrap:anywhere}#latest .tag{margin-right:.6rem}#latest :is(th,td):last-child{padding-left:1rem}#latest .time,#latest .reason{white-space:nowrap}.outcome.discarded{
color:var(--amber)}.outcome.failed{color:var(--red)}@media(max-width:56rem){#charts{display:block}}@media(max-width:40rem){main{padding:1rem .75rem 2rem}section,
#figures{padding:.85rem .9rem}#figures{grid-template-columns:1fr 1fr}#servers thead,#latest thead{position:absolute;clip-path:inset(50%);width:1px;height:1px;overflow:hidden}
:is(#servers,#latest):not([hidden]),:is(#servers,#latest) tbody{display:block}#servers tr,#latest tr{display:grid;padding:.5rem 0;border-bottom:1px solid var(--line);
column-gap:.75rem}#servers tr{display:flex;flex-wrap:wrap}#servers :is(.server,.state-cell){flex-basis:100%}#latest tr{grid-template:"time command took" "server\\
 server outcome" "reason reason level" / auto 1fr auto}#servers td,#latest tr td{border:0;padding:0;text-align:left}#servers tr:last-child,#latest tr:last-child{
border:0}#servers .number:before{color:var(--soft)}.lag:before{content:"lag "}.bytes:before{content:"behind "}.latency:before{content:"latency "}.primary :is(.lag,
.bytes){display:none}#latest .time{grid-area:time;color:var(--soft)}#latest .command{grid-area:command;font-weight:600}#latest .server{grid-area:server}#latest .reason{
grid-area:reason}#latest tr .took{grid-area:took;text-align:right}#latest tr .outcome{grid-area:outcome;text-align:right}#latest tr .level{grid-area:level;color:var(--soft);
text-align:right}#events li{grid-template-columns:4.5rem 1.3rem minmax(0,1fr)}.said{grid-column:1 / -1}}
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
var Ae="http://www.w3.org/2000/svg";function l(t){let e=document.getElementById(t);if(e===null)throw new Error(\`the page has no element #\${t}\`);return e}function k(t){
let e=l(t).querySelector("tbody");if(e===null)throw new Error(\`the table #\${t} has no body\`);return e}function c(t,e={},...n){let r=document.createElement(t);for(let[
s,o]of Object.entries(e))r.setAttribute(s,o);return r.append(...n),r}function h(t,e={},...n){let r=document.createElementNS(Ae,t);for(let[s,o]of Object.entries(
e))r.setAttribute(s,String(o));return r.append(...n),r}function ce(){let t={table:"table","thead, tbody":"rowgroup",tr:"row",th:"columnheader"};for(let[e,n]of Object.
entries(t))for(let r of document.querySelectorAll(e))r.setAttribute("role",n)}function p(t,...e){return c("td",{role:"cell",class:t},...e)}function T(...t){return c(
"tr",{role:"row"},...t)}function m(t,e){t.textContent!==e&&(t.textContent=e)}function S(t,e){for(let[n,r]of e.entries())t.children[n]!==r&&t.insertBefore(r,t.children[n]??
null);for(;t.children.length>e.length;)t.lastElementChild?.remove()}var Fe="M0 -5L5 4H-5Z",je="M-5 -3L-3 -5L0 -2L3 -5L5 -3L2 0L5 3L3 5L0 2L-3 5L-5 3L-2 0Z",A={"lost-write":{word:"lost write",shape:je,weight:5},failover:{word:"fa\\
ilover",shape:"M0 -5.5L5.5 0L0 5.5L-5.5 0Z",weight:4},warning:{word:"warning",shape:Fe,weight:3},"stale-read":{word:"stale read",shape:"M-4 -4H4V4H-4Z",weight:2},
"late-write":{word:"late write",shape:"M-5 -4H5L0 5Z",weight:1},topology:{word:"servers",shape:"M-4 0A4 4 0 1 0 4 0A4 4 0 1 0 -4 0Z",weight:0}};function me(t){return A[t].
word}function he(t){return t.toSorted((e,n)=>A[n.kind].weight-A[e.kind].weight)[0]?.kind}function Q(t){return h("path",{d:A[t].shape,class:\`mark \${t}\`})}function F(t){
return h("svg",{viewBox:"-6 -6 12 12",class:"icon","aria-hidden":"true"},Q(t))}function y(t){return t.toLocaleString("en",{maximumFractionDigits:1})}function j(t){return t.toLocaleString("en",{maximumFractionDigits:t<10?1:0})}function w(t){
if(t<9.95)return\`\${(Math.round(t*10)/10).toLocaleString("en")} ms\`;if(t<999.5)return\`\${Math.round(t)} ms\`;if(t<59950)return\`\${(t/1e3).toFixed(1)} s\`;let e=Math.
round(t/1e3);return\`\${Math.floor(e/60)} min \${e%60} s\`}function ue(t){return t<1e3?\`\${t} B\`:t<999500?\`\${ee(t/1e3)} KB\`:t<9995e5?\`\${ee(t/1e6)} MB\`:\`\${ee(t/1e9)} \\
GB\`}function O(t){let e=Math.round(t*100);return e===0&&t>0?"< 1 %":e===100&&t<1?"> 99 %":\`\${e} %\`}function x(t){return new Date(t).toLocaleTimeString("en-GB")}
function ee(t){return t<10?t.toFixed(1):t.toFixed(0)}var H=class{#e;show(e){this.#e!==e&&(this.#e=e,l("events").replaceChildren(...e.toReversed().map(He)),l("events").hidden=e.length===0,l("no-events").hidden=e.length>
0)}};function He({at:t,kind:e,text:n,advice:r}){let s=c("p",{class:"said"},n);r!==void 0&&s.append(c("span",{class:"advice"},r));let o=c("time",{datetime:new Date(
t).toISOString()},x(t));return c("li",{},o,F(e),c("span",{class:"kind"},me(e)),s)}var P=class{#e;#t;#o;#r;#s;#n="connecting";constructor(e,n,r){this.#e=e,this.#t=n,this.#o=r}open(){let e=new EventSource(this.#e);this.#r=e;for(let n of["histor\\
y","sample","mark","reads"])this.#a(e,n);e.addEventListener("open",()=>this.#l()),e.addEventListener("error",()=>this.#m(e)),this.#l()}#a(e,n){e.addEventListener(
n,({data:r})=>{let s=JSON.parse(r);this.#i(),this.#t[n](s)})}#i(){this.#d("live",""),this.#l()}#l(){clearTimeout(this.#s),this.#s=window.setTimeout(()=>{this.#d(
"lost","The app has sent nothing for five seconds. Trying again."),this.#r?.close(),this.open()},5e3)}#m(e){if(e===this.#r){if(clearTimeout(this.#s),e.readyState!==
EventSource.CLOSED){this.#n!=="refused"&&this.#d("lost","The connection to the app is lost. Trying again.");return}this.#c().then(n=>{e===this.#r&&this.#d("refu\\
sed",n)}),window.setTimeout(()=>this.open(),5e3)}}async#c(){let e=new AbortController;try{let n=await fetch(this.#e,{headers:{Accept:"text/event-stream"},signal:e.
signal});if(n.ok)return"The app sent no feed. Trying again.";let r=(await n.text()).trim().slice(0,400);return\`The app refused with status \${n.status}. \${r}\`}catch{
return"The app does not answer. Trying again."}finally{e.abort()}}#d(e,n){this.#n===e&&e==="live"||(this.#n=e,this.#o(e,n))}};var Pe=["known","checked","primary-gone","unproven"],Ve=["check-failed","missing-key","replica-failed"];function E(t){let e=new Map;for(let{commands:r}of t)for(let{
reason:s,count:o}of r)s!=="not-a-read"&&e.set(s,(e.get(s)??0)+o);let n=te(e,Ve);for(let r of["checked","known"]){let s=e.get(r)??0,o=Math.max(0,s-n);n-=s-o,o===
0?e.delete(r):e.set(r,o)}return e}function v(t){return te(t,[...t.keys()])}function V(t){let e=v(t);return e===0?void 0:te(t,Pe)/e}function te(t,e){return e.reduce(
(n,r)=>n+(t.get(r)??0),0)}var Ie=["Answered by replicas","Reads per second","Largest lag now","Waits for a replica","Fallbacks","Refused","In line now"],Ge=60,I=class{#e=Ie.map(e=>{let[n,
r]=[c("dd"),c("dd",{class:"detail"})],s=c("div",{},c("dt",{},e),n,r);return{name:e,group:s,value:n,detail:r}});constructor(){l("figures").replaceChildren(...this.#e.
map(({group:e})=>e))}show(e){let n=_e(e);for(let{name:r,group:s,value:o,detail:a}of this.#e){let i=n[r];m(o,i.value),m(a,i.detail),s.classList.toggle("notable",
i.isBad===!0)}}};function _e(t){let e=V(E(t.slice(-Ge))),n=d=>t.reduce((f,u)=>f+d(u),0),r=n(({waits:d})=>d.timedOut),s=n(({waits:d})=>d.aborted),o=n(({fallback:d})=>d.
refused),a=t.at(-1),i=t.slice(-10);return{"Answered by replicas":{value:e===void 0?"–":O(e),detail:"of reads, last minute"},"Reads per second":{value:j(v(E(i))/
Math.max(1,i.length)),detail:"in the last 10 s"},"Largest lag now":Be(a),"Waits for a replica":{value:y(n(({waits:d})=>d.caughtUp)+r+s),detail:We(r,s),isBad:r>0},
Fallbacks:{value:y(n(({fallback:d})=>d.reads)),detail:"in 5 min"},Refused:{value:y(o),detail:"in 5 min",isBad:o>0},"In line now":{value:y(a?.fallback.waiting??0),
detail:\`\${y(a?.fallback.active??0)} at the primary\`,isBad:(a?.fallback.waiting??0)>0}}}function We(t,e){let n=[...t>0?[\`\${y(t)} timed out\`]:[],...e>0?[\`\${y(e)} \\
aborted\`]:[]];return n.length===0?"in 5 min":n.join(", ")}function Be(t){let e=(t?.nodes??[]).filter(({role:o,state:a})=>o==="replica"&&a!=="excluded"),n=e.flatMap(
({lagMs:o})=>o===void 0?[]:[o]),r=e.length-n.length,s=n.length===0?"–":w(Math.max(...n));return e.length===0?{value:s,detail:"no replica"}:{value:s,detail:r===
0?"of all replicas":\`\${r} not proven\`,isBad:r>0}}var G=class{samples=[];marks=[];received=0;#e=[];#t=new Map;replace({samples:e,marks:n,reads:r}){this.samples=[],this.#e=[],this.#t=new Map,this.marks=n.slice(-100);
for(let s of e)this.addSample(s);this.#o(r)}addSample(e){this.samples=[...this.samples.filter(({at:n})=>n>e.at-3e5),e]}addMark(e){this.marks=[...this.marks,e].slice(
-100)}addReads(e){this.received+=e.length,this.#o(e)}reads(e){return e===void 0?this.#e:this.#t.get(e)??[]}#o(e){this.#e=[...this.#e,...e].slice(-100);for(let n of new Set(
e.map(r=>r.reason))){let r=[...this.reads(n),...e.filter(s=>s.reason===n)];this.#t.set(n,r.slice(-100))}}};var C=5e3,b=3e5/C;function fe({samples:t,marks:e}){let n=Math.max(t.at(-1)?.at??0,e.at(-1)?.at??0),r=pe(n);return Array.from({length:b},(s,o)=>{let a=r-(b-1-o)*
C,i=({at:d})=>pe(d)===a;return ye(a,t.filter(i),e.filter(i))})}function ge({samples:t,marks:e}){return ye(t[0]?.at??0,t,e)}function pe(t){return Math.floor(t/C)*
C}function ye(t,e,n){let r=E(e),s=o=>e.reduce((a,i)=>a+o(i),0);return{from:t,samples:e,marks:n,counts:r,rate:v(r)/Math.max(1,e.length),waits:s(({waits:o})=>o.caughtUp+
o.timedOut+o.aborted),fallbacks:s(({fallback:o})=>o.reads),refused:s(({fallback:o})=>o.refused)}}var R={left:62,right:10,top:10,bottom:28},ze=[1,2,5,10],N=class{#e;#t;#o;#r;#s;#n=[];constructor(e,n,{text:r,height:s,lanes:o=0}){this.#e=e,this.#t=n,this.#o=r,
this.#r=s,this.#s=o;let a={role:"slider",tabindex:"0","aria-label":r.label,"aria-valuemin":"0"};for(let[i,d]of Object.entries(a))e.setAttribute(i,d);e.setAttribute(
"aria-valuemax",String(b-1)),e.addEventListener("pointermove",i=>this.#c(i)),e.addEventListener("pointerdown",i=>this.#c(i)),e.addEventListener("pointerleave",()=>this.#d()),
e.addEventListener("keydown",i=>this.#p(i)),e.addEventListener("focus",()=>this.#u()),e.addEventListener("blur",()=>n.moveTo(void 0))}draw(e,n,{label:r,paint:s}){
this.#n=e;let o=Ue(n),a=o*Math.max(1,Math.ceil(n/o-1e-9)),i=this.#a(a),d=this.#e.clientWidth,f=this.#r+this.#s,u=h("svg",{width:d,height:f,"aria-hidden":"true"});
for(let g=0;g<=a+o/2;g+=o)u.append(...De(i,g,r(g)));u.append(...this.#i(i),...this.#l(i),...s(i)),this.#e.replaceChildren(u),this.#m()}#a(e){let n=Math.max(R.left+
b,this.#e.clientWidth-R.right),r=this.#r-R.bottom,s=this.#n[0]?.from??0,o=n-R.left;return{left:R.left,right:n,top:R.top,bottom:r,momentWidth:o/b,x:a=>R.left+(a-
s)/3e5*o,y:a=>r-a/e*(r-R.top)}}#i({left:e,right:n,bottom:r}){let s=r+this.#s+20;return Array.from({length:6},(o,a)=>{let i=e+a/5*(n-e);return a===5?[h("text",{x:i,
y:s,"text-anchor":"end",class:"axis"},"now")]:a===4&&n-e<300?[]:[h("text",{x:i,y:s,"text-anchor":"middle",class:"axis"},\`−\${5-a} min\`)]}).flat()}#l({x:e,top:n,
bottom:r,momentWidth:s}){let{at:o}=this.#t;if(o===void 0||!this.#n.some(({from:i})=>i===o))return[];let a=r-n+this.#s;return[h("rect",{x:e(o),y:n,width:s,height:a,
class:"cursor"})]}#m(){let{at:e}=this.#t,n=this.#n.findIndex(({from:s})=>s===e),r=this.#n[n]??this.#n.at(-1);r!==void 0&&(this.#e.setAttribute("aria-valuenow",String(
n<0?b-1:n)),this.#e.setAttribute("aria-valuetext",n<0?"the last five minutes":this.#o.describe(r)))}#c({clientX:e}){let{left:n,right:r}=this.#a(1),s=e-this.#e.getBoundingClientRect().
left,o=Math.floor((s-n)/(r-n)*b);this.#h(Math.min(b-1,Math.max(0,o)))}#d(){document.activeElement!==this.#e&&this.#t.moveTo(void 0)}#u(){this.#e.matches(":focus\\
-visible")&&this.#t.at===void 0&&this.#h(b-1)}#p(e){let n=this.#t.at??this.#n.at(-1)?.from??0,r=this.#n.findIndex(({from:i})=>i===n),s=b-1,a={ArrowLeft:Math.max(
0,r-1),ArrowRight:Math.min(s,r+1),PageUp:Math.max(0,r-3e5/5/C),PageDown:Math.min(s,r+3e5/5/C),Home:0,End:s}[e.key];a===void 0&&e.key!=="Escape"||(e.preventDefault(),
a===void 0?this.#t.moveTo(void 0):this.#h(a))}#h(e){this.#t.moveTo(this.#n[e]?.from)}};function De({left:t,right:e,y:n},r,s){let o=Math.round(n(r))+.5;return[h(
"line",{x1:t,x2:e,y1:o,y2:o,class:r===0?"base":"grid"}),h("text",{x:t-8,y:o+4,"text-anchor":"end",class:"axis"},s)]}function Ue(t){let e=t/4,n=10**Math.floor(Math.
log10(e));return(ze.find(r=>r*n>=e-1e-9)??10)*n}var Ke=190,_=6,qe=10,be=["","7 3","2 3","10 3 2 3","5 5","1 2"],W=class{#e;#t;#o=k("lags");#r=new Map;#s=new Map;constructor(e){let n={label:"Lag of the replica\\
s over the last five minutes",describe:Xe};this.#t=e,this.#e=new N(l("lag-chart"),e,{text:n,height:Ke})}show(e){let n=this.#n(e),r=Math.max(qe,...n.map(xe)),s=a=>n.
toReversed().flatMap(i=>Ye(a,i,e));this.#e.draw(e,r,{label:w,paint:s});let o=e.findIndex(({from:a})=>a===this.#t.at);this.#a(n,o)}#n(e){let n=e.map(Me),s=[...new Set(
n.flatMap(i=>[...i.keys()]))].map(i=>({address:i,style:void 0,lags:n.map(d=>d.get(i))})),o=s.toSorted((i,d)=>we(d)-we(i)).slice(0,_);return this.#r=Je(o,this.#r),
s.map(i=>({...i,style:this.#r.get(i.address)})).toSorted((i,d)=>(i.style??_)-(d.style??_))}#a(e,n){let r=new Map;for(let{address:s,style:o,lags:a}of e){if(o===void 0)
continue;let i=this.#s.get(s)??T(p("lag-name",ve(o),s),p("number")),d=a.at(n);i.lastElementChild&&m(i.lastElementChild,d===void 0?"not proven":w(d)),i.classList.
toggle("unproven",d===void 0),i.querySelector(".key")?.replaceWith(ve(o)),r.set(s,i)}this.#s=r,S(this.#o,[...r.values()]),l("lags").hidden=r.size===0,m(l("other\\
-lags"),Ze(e.length,e.length-r.size))}};function Ze(t,e){return t===0?"No replica is known.":e===0?"":\`The other \${e} replicas are drawn thin. They lagged less.\`}
function Xe(t){let e=[...Me(t)].toSorted(([,o=-1],[,a=-1])=>a-o),n=e.flatMap(([o,a])=>a===void 0?[]:[\`\${o} \${w(a)}\`]),r=e.length-n.length,s=[...n.slice(0,_),...r>
0?[\`\${r} not proven\`]:[]];return\`\${x(t.from)}: \${s.join(", ")}\`}function Me({samples:t}){let e=new Map;for(let{nodes:n}of t)for(let{address:r,role:s,lagMs:o}of n){
if(s!=="replica")continue;let a=e.has(r)?e.get(r):0;e.set(r,o===void 0||a===void 0?void 0:Math.max(a,o))}return e}function xe({lags:t}){return Math.max(0,...t.map(
(e=0)=>e))}function we(t){return t.lags.at(-1)===void 0?Number.MAX_VALUE:xe(t)}function Je(t,e){let n=t.flatMap(({address:o})=>{let a=e.get(o);return a===void 0?
[]:[[o,a]]}),r=new Map(n),s=be.map((o,a)=>a).filter(o=>!n.some(([,a])=>a===o));for(let{address:o}of t)r.has(o)||r.set(o,s.shift()??0);return r}function Ye({x:t,
y:e,momentWidth:n},{style:r,lags:s},o){let i=o.map(({from:d},f)=>{let u=s[f];if(u===void 0)return"";let g=\`\${(t(d)+n/2).toFixed(1)} \${e(u).toFixed(1)}\`;return s[f-
1]===void 0?\`M\${g}h0.1\`:\`L\${g}\`}).join("");return i===""?[]:[h("path",{d:i,...ke(r)})]}function ke(t){return t===void 0?{class:"curve other"}:{class:\`curve line\\
-\${t}\`,"stroke-dasharray":be[t]??""}}function ve(t){let e=h("path",{d:"M1 6H27",...ke(t)});return h("svg",{viewBox:"0 0 28 12",class:"key","aria-hidden":"true"},
e)}var M=[{reason:"known",family:"replica",pattern:0,meaning:"A replica answered. It was known to have everything that the read must see.",normal:"normal"},{reason:"\\
checked",family:"replica",pattern:1,meaning:"A replica answered. It proved with an INFO that it has everything that the read must see.",normal:"normal"},{reason:"\\
primary-gone",family:"fault",pattern:1,meaning:"A replica answered without proof. The primary is gone, and staleIfPrimaryGone allows the read.",normal:"a proble\\
m",advice:"Bring the primary back."},{reason:"unproven",family:"fault",pattern:2,meaning:'A replica answered without proof at level "eventual". The primary is g\\
one or is a proxy.',normal:"a problem",advice:"Bring the primary back. With a proxy this is expected."},{reason:"strong",family:"app",pattern:0,meaning:'The lev\\
el is "strong", so only the primary may answer.',normal:"normal"},{reason:"no-session",family:"app",pattern:1,meaning:"The read belongs to no session.",normal:"\\
normal if intended",advice:"To read from replicas, use req.redis, or call tidemark.redis inside a request or tidemark.run."},{reason:"write-in-flight",family:"s\\
ession",pattern:0,meaning:"A write of the session has no answer yet, and the read must see this write.",normal:"normal",advice:"If the read need not see the wri\\
te, make the write untracked or give its keys a scope."},{reason:"missing-key",family:"session",pattern:1,meaning:"A replica did not have the key, and the prima\\
ry must confirm that the key is missing.",normal:"normal"},{reason:"asked",family:"session",pattern:2,meaning:"The key is being moved to another shard of the cl\\
uster.",normal:"normal if rare",advice:"Wait until the slot has moved."},{reason:"position-unknown",family:"session",pattern:3,meaning:"The position of one of t\\
he session's writes is not known.",normal:"normal if rare",advice:"Look for the warnings TIDEMARK_POSITION_UNKNOWN and TIDEMARK_PROXY."},{reason:"behind",family:"\\
lag",pattern:0,meaning:"No replica is proven, or is likely, to have the data that the read must see.",normal:"normal if rare",advice:"Look at the lag below. Wit\\
h waitMs a read waits for a replica."},{reason:"read-ahead",family:"lag",pattern:1,meaning:"The session has read newer data than the replicas are proven to have\\
.",normal:"normal if rare",advice:"Look at the lag below. With waitMs a read waits for a replica."},{reason:"check-failed",family:"lag",pattern:2,meaning:"A rep\\
lica was tried and was behind. Its answer was discarded.",normal:"normal if rare",advice:"Look at the lag below."},{reason:"starting",family:"lag",pattern:3,meaning:"\\
Nothing recent is known of the replicas, because the process has just started or was idle.",normal:"normal if rare",advice:"Wait a moment."},{reason:"replica-fa\\
iled",family:"fault",pattern:0,meaning:"A replica was tried and gave no usable answer.",normal:"a problem",advice:"Look at the replica's state, log and network."},
{reason:"unusable",family:"fault",pattern:3,meaning:"No replica may answer reads.",normal:"a problem",advice:"Look at the states of the servers."},{reason:"no-r\\
eplica",family:"fault",pattern:4,meaning:"There is no replica, or all have weight 0.",normal:"a problem",advice:"Compare the servers with the replicas that you \\
expect."}];var Qe=240,Se=18,Re=8,Le=["events","waits","fallbacks"],et=1,Te=6,tt={replica:["","M-1 1L1 -1M0 6L6 0M5 7L7 5"],app:["M2 3H4","M1 1.5H2.5M4 4.5H5.5"],session:["\\
M0 3H6","M0 1.5H6M0 4.5H6","M0 3H3","M0 1.5H3M3 4.5H6"],lag:["M-1 -1L7 7","M-1 -1L7 7M2 -1L7 4M-1 2L4 7","M1 1L4 4","M1 1L4 4M4 1L5 2M1 4L2 5"],fault:["M0 0L6 6\\
M6 0L0 6","M3 0V6","M1.5 0V6M4.5 0V6","M3 0V6M0 3H6","M3 1V5M1 3H5"]},B=class{#e;constructor(e){let n={label:"Reads by reason over the last five minutes",describe:nt};
this.#e=new N(l("reads-chart"),e,{text:n,height:Qe,lanes:Re+Le.length*Se}),document.body.append(at())}show(e){let n=Math.max(et,...e.map(s=>s.rate)),r=s=>[...e.
flatMap(o=>rt(s,o)),...st(s,e)];this.#e.draw(e,n,{label:j,paint:r})}};function nt(t){return[\`\${x(t.from)}: \${se(t)}\`,...t.marks.map(({text:e})=>e)].join(" ")}function se({
counts:t,waits:e,fallbacks:n,refused:r}){return\`\${[re(v(t),"read"),...e>0?[re(e,"wait")]:[],...n>0?[re(n,"fallback")]:[],...r>0?[\`\${y(r)} refused\`]:[]].join(", ")}\\
.\`}function z(t){let e=h("rect",{width:12,height:12,rx:2,fill:\`url(#fill-\${t})\`});return h("svg",{viewBox:"0 0 12 12",class:"swatch","aria-hidden":"true"},e)}function re(t,e){
return\`\${y(t)} \${e}\${t===1?"":"s"}\`}function rt({x:t,y:e,momentWidth:n},{from:r,counts:s,samples:o}){let a=Math.max(1,o.length),i=0;return M.flatMap(({reason:d})=>{
let f=(s.get(d)??0)/a;if(f===0)return[];let[u,g]=[e(i),e(i+f)];i+=f;let $={width:Math.max(1,n-1),height:Math.max(1,u-g)};return[h("rect",{x:t(r)+.5,y:g,...$,fill:\`\\
url(#fill-\${d})\`})]})}function st({left:t,right:e,bottom:n,x:r,momentWidth:s},o){let a=u=>n+Re+(u+.5)*Se,i=Le.flatMap((u,g)=>[h("text",{x:t-8,y:a(g)+4,"text-anc\\
hor":"end",class:"axis"},u),h("line",{x1:t,x2:e,y1:a(g),y2:a(g),class:"lane"})]),d=(u,g,$)=>($.setAttribute("transform",\`translate(\${r(u)+s/2} \${a(g)})\`),$),f=o.
flatMap(({from:u,marks:g,waits:$,fallbacks:de,refused:Y})=>{let le=he(g);return[...le===void 0?[]:[d(u,0,Q(le))],...$===0?[]:[d(u,1,h("circle",{r:$e($),class:"w\\
ait"}))],...de+Y===0?[]:[d(u,2,ot(de+Y,Y>0))]]});return[...i,...f]}function $e(t){return Math.min(6,2.5+Math.log10(t))}function ot(t,e){let n=$e(t);return e?h("\\
path",{d:\`M\${-n} \${-n}L\${n} \${n}M\${n} \${-n}L\${-n} \${n}\`,class:"refused"}):h("rect",{x:-n,y:-n,width:2*n,height:2*n,class:"fallback"})}function at(){let t=M.map(
it);return h("svg",{width:0,height:0,class:"patterns","aria-hidden":"true"},...t)}function it({reason:t,family:e,pattern:n}){let r={width:Te,height:Te},s={id:\`f\\
ill-\${t}\`,...r,patternUnits:"userSpaceOnUse",class:e},o=h("path",{d:tt[e][n]??"",class:"overlay"});return h("pattern",s,h("rect",{...r,fill:"currentColor"}),o)}var D=class{#e;#t=l("pause");#o=new Map;#r;#s;constructor(e){this.#e=e;let n=l("filter");n.append(c("option",{value:""},"all"));for(let{reason:r}of M)n.append(c(
"option",{value:r},r));n.addEventListener("change",({target:r})=>{let s=r instanceof HTMLSelectElement?r.value:"";this.#r=M.find(({reason:o})=>o===s)?.reason,this.#n()}),
this.#t.addEventListener("click",()=>{this.#s=this.#s===void 0?e.received:void 0,this.#n()})}show(){this.#s===void 0?this.#n():this.#a()}#n(){let e=this.#e.reads(
this.#r).toReversed();this.#o=new Map(e.map(n=>[n,this.#o.get(n)??dt(n)])),S(k("latest"),[...this.#o.values()]),l("latest").hidden=e.length===0,l("no-latest").hidden=
e.length>0,m(l("no-latest"),this.#r===void 0?"No reads yet.":\`No reads with the reason \${this.#r}.\`),this.#a()}#a(){let e=this.#s!==void 0;this.#t.setAttribute(
"aria-pressed",String(e));let n=this.#e.received-(this.#s??0);m(l("paused"),e?\`Paused. \${y(n)} newer reads.\`:""),l("latest-scroll").classList.toggle("paused",e)}};
function dt({at:t,command:e,node:n,role:r,reason:s,level:o,durationMs:a,outcome:i}){return T(p("time",x(t)),p("command",e),p("server",c("span",{class:\`tag \${r}-\\
tag\`},r),n),p("reason",z(s),s),p("level",o),p("number took",w(a)),p(\`outcome \${i}\`,i))}var lt={normal:"good","normal if intended":"warn","normal if rare":"warn","a problem":"bad"},U=class{#e=new Map(M.map(e=>[e.reason,ct(e)]));show(e,n){let{counts:r}=n??
e,s=v(r),o=M.flatMap(({reason:a})=>{let i=this.#e.get(a);if(i===void 0||!e.counts.has(a))return[];let d=r.get(a)??0,[,f,u]=i.children;return f&&m(f,y(d)),u&&m(u,
s===0?"":O(d/s)),[i]});S(k("reasons"),o),l("reasons").hidden=o.length===0,l("no-reads").hidden=o.length>0,m(l("moment"),\`\${n?x(n.from):"Last five minutes"}: \${se(
n??e)}\`),this.#t(n)}#t(e){let n=(e?.marks??[]).map(({kind:r,text:s})=>c("li",{},F(r),c("span",{},s)));l("moment-marks").replaceChildren(...n)}};function ct({reason:t,
meaning:e,normal:n,advice:r}){let s=c("span",{class:\`tag \${lt[n]}\`},n),o=c("span",{class:"named"},c("b",{},z(t),t),s),a=c("span",{class:"meaning"},r===void 0?e:
\`\${e} \${r}\`);return T(p("",o,a),p("number"),p("number"))}var K={serving:{phrase:"serves"},starting:{phrase:"is starting",advice:"Wait a moment."},silent:{phrase:"does not answer",advice:"Check that it runs, and its ho\\
st, port and TLS options."},unauthorized:{phrase:"refuses the user or the password",advice:"Set a user and a password that it accepts, or add the ACL rule +sele\\
ct."},loading:{phrase:"loads its data",advice:"Wait."},refusing:{phrase:"refuses reads",advice:"Look at its log and its ACL rules."},"unknown-position":{phrase:"\\
does not report its position",advice:"Add the ACL rule +info."},"other-primary":{phrase:"reports that it is a primary",advice:"Make it a replica with REPLICAOF,\\
 or remove it from the configuration."},"unknown-history":{phrase:"replicates from another primary",advice:"Give it the right primary with REPLICAOF, or remove \\
it from the configuration."},syncing:{phrase:"copies all data of its primary",advice:"Wait. If this repeats, raise repl-backlog-size and client-output-buffer-li\\
mit."},"link-down":{phrase:"has lost the connection to its primary",advice:"Check its log, its network and the password that it sends to its primary."},behind:{
phrase:"is too far behind",advice:"Check its load and its network."},skewed:{phrase:"has a clock that differs from the primary's",advice:"Synchronize the clocks\\
."},unproven:{phrase:'answers only reads at level "eventual", because the primary is a proxy'},excluded:{phrase:"has weight 0"},demoted:{phrase:"has become a re\\
plica, and no other primary is known",advice:"Make a server the primary."}};var mt=12,q=class{#e=k("servers");#t=l("all-servers");#o=l("no-servers");#r=new Map;#s=[];#n=!1;constructor(){this.#t.addEventListener("click",()=>{this.#n=!this.#n,
this.show(this.#s)})}show(e){this.#s=e;let n=e.length>mt,r=n&&!this.#n?e.filter(({eligible:o})=>!o):e,s=new Map;for(let o of r){let a=this.#r.get(o.address)??new oe(
o.address);a.show(o),s.set(o.address,a)}this.#r=s,S(this.#e,[...s.values()].map(({element:o})=>o)),l("servers").hidden=r.length===0,this.#t.hidden=!n,this.#t.setAttribute(
"aria-expanded",String(this.#n)),m(this.#t,this.#n?"Show only servers that are not used":\`Show all \${e.length} servers\`),m(this.#o,ht(e,r.length))}};function ht(t,e){
return t.length===0?"No server is known yet.":e===0?\`All \${t.length} servers serve.\`:e<t.length?\`The other \${t.length-e} servers serve.\`:""}var oe=class{#e=c("b");#t=c(
"span",{class:"tag"});#o=c("span",{class:"zone"});#r=c("span",{class:"state"});#s=c("span",{class:"why"});#n=p("number lag");#a=p("number bytes");#i=p("number l\\
atency");element=T(p("server",this.#e,this.#t,this.#o),p("state-cell",this.#r,this.#s),this.#n,this.#a,this.#i);constructor(e){this.#e.textContent=e}show({role:e,
state:n,eligible:r,reason:s,lagMs:o,lagBytes:a,latencyMs:i,zone:d}){this.element.className=r?e:\`\${e} \${n==="excluded"?"excluded":"unused"}\`,this.#t.className=\`t\\
ag \${e}-tag\`,m(this.#t,e),m(this.#o,d===void 0?"":\`zone \${d}\`),m(this.#r,n),m(this.#s,ut({state:n,eligible:r,reason:s}));let f=e==="primary";m(this.#n,f?"–":o===
void 0?"not proven":w(o)),m(this.#a,f?"–":a===void 0?"unknown":ue(a)),m(this.#i,w(i)),this.#n.classList.toggle("unproven",!f&&o===void 0),this.#a.classList.toggle(
"unproven",!f&&a===void 0)}};function ut({state:t,eligible:e,reason:n}){if(e)return"";let{phrase:r,advice:s}=K[t],o=n??\`it \${r}\`,a=\`\${o.charAt(0).toUpperCase()}\${o.
slice(1)}\${/[.!?]$/.test(o)?"":"."}\`;return s===void 0?a:\`\${a} \${s}\`}var Z=class{#e;#t;constructor(e){this.#t=e}get at(){return this.#e}moveTo(e){this.#e!==e&&(this.#e=e,this.#t())}};var pt=.5;function Ee(t){let e=t.at(-1);return e===void 0||e.nodes.length===0?{level:"unknown",text:"There is no data yet.",share:""}:{...ft(e.nodes),share:yt(t)}}
function ft(t){let e=t.filter(({role:a})=>a==="primary"),n=e.filter(({state:a})=>a!=="serving");if(n.length>0)return gt(n,e.length);let r=t.filter(({role:a,state:i})=>a===
"replica"&&i!=="excluded");if(r.length===0)return{level:"warn",text:"There is no replica. The primary answers all reads."};let s=r.filter(({eligible:a})=>!a);if(s.
length===0)return{level:"good",text:r.length===1?"The replica serves.":"All replicas serve."};if(s.length<r.length){let a=s.length===1?"is":"are";return{level:"\\
warn",text:\`\${s.length} of \${r.length} replicas \${a} not used: \${X(s)}.\`}}return{level:s.every(({state:a})=>a==="starting")?"warn":"bad",text:\`No replica is use\\
d: \${X(s)}.\`}}function gt(t,e){let n=t.every(({state:s})=>s==="starting")?"warn":"bad";if(e>1)return{level:n,text:\`\${t.length} of \${e} primaries cannot be used:\\
 \${X(t)}.\`};let r=t.some(({state:s})=>s==="silent");return{level:n,text:\`The primary \${r?"is gone":"cannot be used"}: \${X(t)}.\`}}function X([t,...e]){if(t===void 0)
return"";let n=\`\${t.address} \${K[t.state].phrase}\`;return e.length===0?n:\`\${n}, and \${e.length} more\`}function yt(t){let e=E(t),n=V(e);if(n===void 0)return"No r\\
eads in the last minute.";let r=\`Replicas answer \${O(n)} of reads.\`;if(n>=pt)return r;let s=M.filter(({reason:i})=>i!=="known"&&i!=="checked"),o=({reason:i})=>e.
get(i)??0,[a]=s.toSorted((i,d)=>o(d)-o(i));return a===void 0||o(a)<v(e)/4?r:\`\${r} Most often the reason is \${a.reason}.\`}var wt={connecting:"Connecting",live:"Live",lost:"Connection lost",refused:"Refused"},Ce={unknown:"…",good:"✓",warn:"!",bad:"✕"},vt=6e4,L=new G,ae=new Z(ie),
bt=new I,Mt=new q,xt=new B(ae),kt=new U,Tt=new W(ae),St=new H,Oe=new D(L),Rt={history:t=>{L.replace(t),J(),Oe.show()},sample:t=>{L.addSample(t),J()},mark:t=>{L.
addMark(t),J()},reads:t=>{L.addReads(t),Oe.show()}};ce();for(let t of["events","latest-scroll"])l(t).tabIndex=0;Ne("connecting","");J();new ResizeObserver(ie).observe(
l("reads-chart"));new P(location.href.replace(/#.*$/,""),Rt,Ne).open();function J(){let{samples:t,marks:e}=L,n=t.at(-1)?.at??0,r=Ee(t.filter(({at:s})=>s>n-vt));
l("verdict").dataset.level=r.level,m(l("verdict-icon"),Ce[r.level]),m(l("verdict-text"),r.text),m(l("verdict-share"),r.share),document.title=\`\${Ce[r.level]} Tid\\
emark\`,bt.show(t),Mt.show(t.at(-1)?.nodes??[]),St.show(e),ie()}function ie(){let t=fe(L),e=t.find(({from:n})=>n===ae.at);xt.show(t),kt.show(ge(L),e),Tt.show(t)}
function Ne(t,e){l("data").dataset.state=t,l("connection").dataset.state=t,m(l("connection"),wt[t]),m(l("trouble"),e),l("trouble").hidden=e===""}
</script>
</body>
</html>
`;
