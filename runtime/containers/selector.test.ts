import { describe, expect, it } from 'vitest';
import type { Container } from './container.js';
import { SelectorError } from './errors.js';
import { Selector } from './selector.js';

function named(name: string): Container {
  return {
    key: 'f'.repeat(64),
    id: 'f'.repeat(64),
    name,
    runtime: 'docker',
    pid: 1,
    mntns: 2,
    imageName: '',
    imageDigest: '',
    imageId: '',
    startedAt: '',
    bundle: '',
  };
}

function shown(selector: Selector, ...names: string[]): string[] {
  return names.filter((name) => selector.matches(named(name)));
}

describe('Selector', () => {
  it('shows every container, and not the host, when nothing is asked for', () => {
    const selector = new Selector();
    expect(shown(selector, 'web', 'db')).toEqual(['web', 'db']);
    expect(selector.host).toBe(false);
    expect(selector.selectsAll).toBe(false);
    expect(selector.asksForContainers).toBe(false);
  });

  it('shows the named containers only', () => {
    expect(shown(new Selector({ containerName: 'web, db' }), 'web', 'db', 'webs', 'we')).toEqual([
      'web',
      'db',
    ]);
  });

  it('leaves out what is marked with "!"', () => {
    expect(shown(new Selector({ containerName: '!db' }), 'web', 'db')).toEqual(['web']);
  });

  it('lets an exclusion win over an inclusion', () => {
    expect(shown(new Selector({ containerName: 'web,db,!db' }), 'web', 'db', 'mq')).toEqual(['web']);
  });

  it('needs no filter only for everything on the machine', () => {
    expect(new Selector({ host: true }).selectsAll).toBe(true);
    expect(new Selector({ host: true, containerName: 'web' }).selectsAll).toBe(false);
    expect(new Selector({ host: true, containerName: '!web' }).selectsAll).toBe(false);
  });

  it.each(['', 'web,', '!', 'a,!,b', ' '])('refuses the list "%s", which holds an empty name', (list) => {
    expect(() => new Selector({ containerName: list })).toThrow(SelectorError);
  });
});
