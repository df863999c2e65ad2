import { describe, expect, it } from 'vitest';
import type { Container } from './container.js';
import { SelectorError } from './errors.js';
import { Selector, type SelectorOptions } from './selector.js';

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

function inPod(
  containerName: string,
  namespace: string,
  podName: string,
  labels: Record<string, string>,
): Container {
  const unknown = { podUid: '', ownerKind: '', ownerName: '', sandboxId: '' };
  return { ...named(containerName), pod: { ...unknown, namespace, podName, containerName, labels } };
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

  describe('with pods', () => {
    const demo = inPod('web', 'shop', 'front-1', { role: 'demo', tier: 'web' });
    const plain = inPod('db', 'shop', 'store-0', { role: 'store' });
    const other = inPod('web', 'lab', 'front-2', { tier: 'web', 'app.kubernetes.io/name': 'x' });
    const all = [demo, plain, other, named('web')];

    function podsOf(options: SelectorOptions): string[] {
      const selector = new Selector(options);
      return all.filter((one) => selector.matches(one)).map(({ pod }) => pod?.podName ?? '-');
    }

    it('selects by pod, namespace and name in the pod; what is in no pod is in none of these', () => {
      expect(podsOf({ k8sPodName: 'front-1,store-0' })).toEqual(['front-1', 'store-0']);
      expect(podsOf({ k8sNamespace: 'lab' })).toEqual(['front-2']);
      expect(podsOf({ k8sContainerName: 'web' })).toEqual(['front-1', 'front-2']);
      expect(podsOf({ k8sNamespace: '!lab' })).toEqual(['front-1', 'store-0', '-']);
      expect(podsOf({ k8sNamespace: 'shop', k8sContainerName: '!db' })).toEqual(['front-1']);
    });

    it.each([
      ['role=demo', ['front-1']],
      ['role==demo', ['front-1']],
      ['role!=demo', ['store-0', 'front-2']],
      ['role', ['front-1', 'store-0']],
      ['!role', ['front-2']],
      ['role in (demo, store),tier', ['front-1']],
      ['role notin (demo)', ['store-0', 'front-2']],
      ['app.kubernetes.io/name=x', ['front-2']],
      ['role=', []],
      ['constructor', []],
    ])('understands the label selector %s', (k8sSelector, pods) => {
      expect(podsOf({ k8sSelector })).toEqual(pods);
    });

    it.each(['', ',', 'a b', 'a in b', 'a in ()x', '=x', 'a=b,,c', 'a>1'])(
      'refuses the label selector "%s"',
      (k8sSelector) => {
        expect(() => new Selector({ k8sSelector })).toThrow(/label selector .* key=value/);
      },
    );

    it('never takes the sandbox of a pod for a container', () => {
      expect(new Selector().matches(inPod('', 'shop', 'front-1', {}))).toBe(false);
    });
  });

  it('selects by digest and id of the image, in full or by their first digits', () => {
    const digest = `sha256:${'ab'.repeat(32)}`;
    const one = { ...named('web'), imageDigest: digest, imageId: `sha256:${'cd'.repeat(32)}` };
    for (const imageDigest of [digest, 'ab'.repeat(32), 'ab'.repeat(6)]) {
      expect(new Selector({ imageDigest }).matches(one)).toBe(true);
    }
    for (const imageDigest of ['sha256:ab', 'abab', 'cd'.repeat(32), `!${digest}`]) {
      expect(new Selector({ imageDigest }).matches(one)).toBe(false);
    }
    expect(new Selector({ imageId: 'cd'.repeat(32) }).matches(one)).toBe(true);
    expect(new Selector({ imageId: 'cd'.repeat(32) }).matches(named('web'))).toBe(false);
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
