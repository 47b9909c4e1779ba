/** How the page of a run looks, on a screen and a phone, by day and by night. Eight colours, told apart also by those who see few. */
export const STYLE = `
:root { color-scheme: light dark; --ink: #1c1e21; --faint-ink: #62686f; --paper: #fff; --tile: #f4f5f7; --line: #e1e4e8; --fault: #f3c99b; --fault-edge: #c9741a; --bad: #c0182b; --good: #1f7a3d;
  --c0: #2266aa; --c1: #c9741a; --c2: #2f8f5b; --c3: #8a4fb5; --c4: #b0892a; --c5: #4a9fb8; --c6: #c2548f; --c7: #6b7280; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6e8ea; --faint-ink: #9aa1a9; --paper: #15171a; --tile: #1f2226; --line: #30343a; --fault: #6b4520; --fault-edge: #e8a15a; --bad: #ff6b78; --good: #6cc58a;
    --c0: #74b0ee; --c1: #e8a15a; --c2: #6fcb98; --c3: #c39be6; --c4: #d9bb5e; --c5: #7fd0e6; --c6: #ee92c2; --c7: #a3abb5; }
}
* { box-sizing: border-box; }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); max-width: 1180px; margin: 0 auto; padding: 1.5rem 1rem 4rem; }
h1 { font-size: 1.5rem; line-height: 1.25; margin: 0 0 .25rem; } h2 { font-size: 1.1rem; margin: 2.25rem 0 .5rem; } p { margin: .25rem 0 1rem; } .faint { color: var(--faint-ink); }
.bad { color: var(--bad); } .good { color: var(--good); } a { color: inherit; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(9rem, 1fr)); gap: .6rem; margin: 1rem 0; padding: 0; list-style: none; }
.tiles li { background: var(--tile); border-radius: 6px; padding: .6rem .8rem; } .tiles strong { display: block; font-size: 1.35rem; line-height: 1.3; font-variant-numeric: tabular-nums; }
.tiles span { display: block; line-height: 1.3; color: var(--faint-ink); font-size: .85rem; }
figure { margin: 1.25rem 0 .5rem; } .wide { overflow-x: auto; } svg { display: block; min-width: 760px; width: 100%; height: auto; }
svg text { font-size: 11px; fill: var(--ink); } svg text.faint { fill: var(--faint-ink); } .grid { stroke: var(--line); } .fault rect { fill: var(--fault); stroke: var(--fault-edge); stroke-width: .75; }
.c0 { --colour: var(--c0); } .c1 { --colour: var(--c1); } .c2 { --colour: var(--c2); } .c3 { --colour: var(--c3); } .c4 { --colour: var(--c4); } .c5 { --colour: var(--c5); } .c6 { --colour: var(--c6); } .c7 { --colour: var(--c7); }
.tick { stroke: var(--colour); stroke-width: 1; } .span { stroke: var(--colour); stroke-width: 5; opacity: .3; }
.area { fill: var(--colour); fill-opacity: .22; stroke: var(--colour); } .curve { fill: none; stroke: var(--colour); stroke-width: 1.5; } .thin { stroke-width: .8; opacity: .7; } .dashed { stroke-dasharray: 4 3; }
.violation line { stroke: var(--bad); stroke-width: 1.25; } .violation path { fill: var(--bad); } .violation:hover line { stroke-width: 3; }
.legend { display: flex; flex-wrap: wrap; gap: .2rem 1rem; margin: 0 0 .4rem; padding: 0; list-style: none; font-size: .85rem; color: var(--faint-ink); } .legend i { display: inline-block; width: 1rem; height: .25rem; margin-right: .4rem; vertical-align: middle; background: var(--colour); border-radius: 2px; } .legend i.dashed { background: repeating-linear-gradient(90deg, var(--colour) 0 4px, transparent 4px 7px); }
table { border-collapse: collapse; font-size: .92rem; width: max-content; } th, td { text-align: left; vertical-align: top; padding: .3rem 1.2rem .3rem 0; border-bottom: 1px solid var(--line); overflow-wrap: break-word; max-width: 34rem; } th { color: var(--faint-ink); font-weight: 600; }
.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; } tr:has(:target) { background: var(--tile); } summary { cursor: pointer; margin: .5rem 0; }
`;
