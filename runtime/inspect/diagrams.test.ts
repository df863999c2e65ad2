import { expect, it } from 'vitest';
import { flowchart, sequence } from './diagrams.js';
import type { EbpfInfo } from './ebpf.js';

const INFO: EbpfInfo = {
  sections: [],
  programs: [
    { name: 'a', section: 'kprobe/f', type: 'kprobe', attachTo: 'f', maps: ['.rodata', 'ring', 'table'] },
    { name: 'b', section: 'iter/task', type: 'tracing', attachTo: 'task', maps: [] },
  ],
  maps: [
    { name: 'ring', type: 'ringbuf', keySize: 0, valueSize: 0, maxEntries: 4096 },
    { name: 'table', type: 'hash', keySize: 4, valueSize: 4, maxEntries: 8 },
    { name: '.rodata', type: 'array', keySize: 4, valueSize: 4, maxEntries: 1 },
  ],
  variables: [],
  datasources: [
    { name: 'events', from: 'tracer', map: 'ring', annotations: {}, tags: [], fields: [] },
    { name: 'tasks', from: 'iterator', programs: ['b'], annotations: {}, tags: [], fields: [] },
  ],
};

it('the flowchart leads from programs by maps to data sources, without the maps of variables', () => {
  expect(flowchart(INFO)).toBe(`flowchart LR
  program0["a<br/>kprobe/f"]
  program1["b<br/>iter/task"]
  map0[("ring<br/>ringbuf")]
  map1[("table<br/>hash")]
  source0(["events"])
  source1(["tasks"])
  program0 --> map0
  program0 --> map1
  map0 --> source0
  program1 --> source1
`);
});

it('the sequence leads from hooks by programs and maps to user space', () => {
  expect(sequence(INFO)).toBe(`sequenceDiagram
  participant hook0 as f
  participant hook1 as task
  participant program0 as a
  participant program1 as b
  participant map0 as ring
  participant map1 as table
  participant user as user space
  hook0->>program0: kprobe
  program0->>map0: uses
  program0->>map1: uses
  hook1->>program1: tracing
  map0->>user: events
  program1->>user: tasks
`);
});

it('names that are Mermaid syntax stay names', () => {
  const [program] = INFO.programs;
  const name = 'x"]\nclick program0 "javascript:alert(1)"';
  const text = flowchart({ ...INFO, programs: [{ ...program!, name }] });
  expect(text).toContain(
    'program0["x#34;#93;#10;click program0 #34;javascript:alert#40;1#41;#34;<br/>kprobe/f"]',
  );
});
