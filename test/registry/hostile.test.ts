// What `ig`, as built, does with registries and archives that mean harm: one sentence, little memory, nothing kept.

import { join } from 'node:path';
import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { MEDIA_TYPE, digestOf, ociArchitecture } from '../../oci/descriptor.js';
import { UnreachableError } from '../../oci/errors.js';
import { readGadgetImage } from '../../oci/gadget-image.js';
import { Layout } from '../../oci/layout.js';
import { RegistryRepository } from '../../oci/registry.js';
import { Confinement } from './confined.js';
import type { Outcome } from './confined.js';
import { archivedImage, indexJson, paxHeader, tarEntry, writeTar } from './hostile-archive.js';
import type { ArchivedImage, TarEntry } from './hostile-archive.js';
import {
  HostileRegistry,
  breakAfter,
  holdImage,
  indexOf,
  manifestOf,
  redirect,
  send,
  sendForever,
} from './hostile-registry.js';
import type { HeldImage } from './hostile-registry.js';

const MEBIBYTE = 1024 * 1024;
const MAX_PEAK_BYTES = 256 * MEBIBYTE;
const OTHER_DIGEST = digestOf(Buffer.from('other'));

/** A line for each blob that was fetched before. */
const PROGRESS = /^(?:(?:eBPF|Wasm|metadata|blob) [^\n]*: \d+ B\n)*/;

/** Puts things in place; what it returns overrides the image's name, the registry's, or the environment. */
interface Case {
  readonly registry: HostileRegistry;
  readonly image: HeldImage;
}

/** One sentence, status 1, little memory; nothing written but to the store, and nothing of use left there. */
function expectRefused(confinement: Confinement, outcome: Outcome, why: RegExp): void {
  const { status, signal, stdout, stderr, peakBytes, written } = outcome;
  const sentence = stderr.replace(PROGRESS, '');
  expect(sentence).toMatch(/^Error: [\x20-\x7e\u2026]+\n$/);
  expect(sentence).toMatch(why);
  expect(sentence.length).toBeLessThan(700);
  expect(stderr).not.toMatch(/\bundefined\b|\[object|Cannot read|is not a function/);
  expect([signal, status, stdout]).toEqual([null, 1, '']);
  expect(peakBytes).toBeGreaterThan(0);
  expect(peakBytes).toBeLessThan(MAX_PEAK_BYTES);
  expect(written.filter((path) => !/^var-lib\/ig\/(oci-store\/.*)?$/.test(path))).toEqual([]);
  expect(confinement.contents()).toEqual({ names: [], unfinished: [] });
}

async function refusePull(
  why: RegExp,
  prepare: (test: Case) => string | undefined | void,
  kind: { tls?: boolean } = {},
): Promise<HostileRegistry> {
  const registry = await HostileRegistry.start(kind);
  const name = prepare({ registry, image: holdImage(registry) }) ?? `${registry.host}/x/sample:v1`;
  const confinement = new Confinement();
  const plain = kind.tls === true ? [] : ['--insecure-registries', name.slice(0, name.indexOf('/'))];
  const trust = registry.caFile === undefined ? {} : { NODE_EXTRA_CA_CERTS: registry.caFile };
  expectRefused(confinement, await confinement.run([...PULL, name, ...plain], trust), why);
  return registry;
}

const PULL = ['image', 'pull'];

describe('a registry whose bytes are not what was promised', () => {
  it('is refused for another manifest than its header promises', async () => {
    await refusePull(/wrong manifest/, ({ registry }) => {
      registry.on(
        'manifests/v1',
        send({}, { 'content-type': MEDIA_TYPE.index, 'docker-content-digest': OTHER_DIGEST }),
      );
    });
  });

  it('is refused for another manifest than the digest asked for', async () => {
    await refusePull(/wrong manifest/, ({ registry }) => {
      registry.on(OTHER_DIGEST, send({}, { 'content-type': MEDIA_TYPE.index }));
      return `${registry.host}/x/sample@${OTHER_DIGEST}`;
    });
  });

  it.each<[string, RegExp, (image: HeldImage) => Buffer]>([
    ['altered', /corrupt: its digest/, ({ ebpfBytes }) => Buffer.from(ebpfBytes).fill('x', 100, 101)],
    ['short', /corrupt: .* is 4999 bytes instead of 5000/, ({ ebpfBytes }) => ebpfBytes.subarray(1)],
    ['long', /corrupt: .* is longer than 5000/, ({ ebpfBytes }) => Buffer.concat([ebpfBytes, ebpfBytes])],
    ['empty', /corrupt: .* is 0 bytes/, () => Buffer.alloc(0)],
    ['HTML', /corrupt: /, () => Buffer.from('<html>Sign in</html>')],
    ['compressed', /corrupt: /, ({ ebpfBytes }) => gzipSync(ebpfBytes)],
  ])('is refused for a blob that is %s', async (_what, why, spoil) => {
    await refusePull(why, ({ registry, image }) => {
      registry.on(image.ebpf.digest, send(spoil(image)));
    });
  });

  it('is refused for a blob that is never whole, however often it is asked for', async () => {
    const registry = await refusePull(/cannot reach registry 127\.0\.0\.1:\d+/, ({ registry, image }) => {
      registry.on(image.ebpf.digest, breakAfter(image.ebpfBytes.subarray(0, 100)));
    });
    expect(registry.requests.filter((line) => line.includes('/blobs/')).length).toBeLessThan(20);
  });

  it('is refused for a blob longer than its Content-Length', async () => {
    await refusePull(/corrupt|cannot reach/, ({ registry, image }) => {
      registry.on(image.ebpf.digest, send(image.ebpfBytes, { 'content-length': 100 }));
    });
  });

  it('is refused for a manifest of another length than its index says', async () => {
    await refusePull(/corrupt/, ({ registry, image }) => {
      registry.hold(MEDIA_TYPE.index, indexOf([{ ...image.manifest, size: image.manifest.size + 1 }]), 'v1');
    });
  });

  it.each(['manifest', 'ebpf'] as const)('is refused for a %s without end', async (part) => {
    await refusePull(/longer than/, ({ registry, image }) => {
      registry.on(image[part].digest, sendForever(Buffer.alloc(65536, '{')));
    });
  });

  it('is refused for sending one index under every digest', async () => {
    await refusePull(/corrupt/, ({ registry }) => {
      const index = Buffer.from(
        JSON.stringify(indexOf([{ mediaType: MEDIA_TYPE.index, digest: OTHER_DIGEST, size: 700 }])),
      );
      registry.on('manifests/v1', send(index, { 'content-type': MEDIA_TYPE.index }));
      registry.on(OTHER_DIGEST, send(index, { 'content-type': MEDIA_TYPE.index }));
    });
  });
});

describe('a registry that sends too much', () => {
  const headers = { 'content-type': MEDIA_TYPE.index };

  it('is refused for an index without end', async () => {
    await refusePull(/larger than 4194304 bytes/, ({ registry }) => {
      registry.on('manifests/v1', sendForever(Buffer.alloc(65536, ' '), headers));
    });
  });

  it('is refused for a manifest of 100 MB', async () => {
    await refusePull(/manifests have more than 33554432 bytes/, ({ registry, image }) => {
      registry.hold(MEDIA_TYPE.index, indexOf([{ ...image.manifest, size: 100 * MEBIBYTE }]), 'v1');
      registry.on(image.manifest.digest, sendForever(Buffer.alloc(65536, ' ')));
    });
  });

  it('is refused for a manifest that swells when decompressed', async () => {
    await refusePull(/./, ({ registry }) => {
      const bomb = gzipSync(Buffer.alloc(100 * MEBIBYTE, ' '));
      registry.on('manifests/v1', send(bomb, { ...headers, 'content-encoding': 'gzip' }));
    });
  });

  it('is refused for 10,000 layers', async () => {
    await refusePull(/more than 128 layers/, ({ registry, image }) => {
      const layers = Array.from({ length: 10_000 }, () => image.ebpf);
      const manifest = registry.hold(MEDIA_TYPE.manifest, manifestOf(image.config, layers));
      registry.hold(MEDIA_TYPE.index, indexOf([manifest]), 'v1');
    });
  });

  it('is refused for an index of 10,000 manifests, before any of them is fetched', async () => {
    const registry = await refusePull(/too many manifests/, ({ registry, image }) => {
      const manifests = Array.from({ length: 5000 }, (_, n) =>
        registry.hold(
          MEDIA_TYPE.manifest,
          manifestOf(image.config, [image.ebpf], { annotations: { n: `${n}` } }),
        ),
      );
      registry.hold(MEDIA_TYPE.index, indexOf(manifests), 'v1');
    });
    expect(registry.requests.length).toBeLessThan(10);
  });

  it('is refused for indexes within indexes', async () => {
    await refusePull(/too many manifests|nested/, ({ registry, image }) => {
      let inner = image.index;
      for (let depth = 0; depth < 50; depth++)
        inner = registry.hold(MEDIA_TYPE.index, indexOf([inner]), 'v1');
    });
  });

  it('is refused for a blob of terabytes', async () => {
    await refusePull(/more than the limit|larger than/, ({ registry, image }) => {
      const layer = { ...image.ebpf, size: 2 ** 42 };
      const manifest = registry.hold(MEDIA_TYPE.manifest, manifestOf(image.config, [layer]));
      registry.hold(MEDIA_TYPE.index, indexOf([manifest]), 'v1');
    });
  });

  it('is refused for annotations of megabytes', async () => {
    await refusePull(/annotations/, ({ registry, image }) => {
      const annotations = { 'org.opencontainers.image.title': 'x'.repeat(MEBIBYTE) };
      registry.hold(MEDIA_TYPE.index, indexOf([image.manifest], { annotations }), 'v1');
    });
  });
});

describe('a registry whose documents are not what they seem', () => {
  it.each<[string, RegExp, (image: HeldImage) => object | string | Buffer]>([
    ['nests too deep', /./, () => '['.repeat(1_000_000)],
    [
      'nests too deep where a text belongs',
      /./,
      () => `{"schemaVersion":2,"mediaType":${'['.repeat(500_000)}${']'.repeat(500_000)}}`,
    ],
    [
      'nests too deep where nothing is expected',
      /./,
      () => `{"schemaVersion":2,"x":${'['.repeat(500_000)}${']'.repeat(500_000)}}`,
    ],
    [
      'is not UTF-8',
      /is not JSON/,
      () => Buffer.from('{"schemaVersion":2,"manifests":[],"x":"\xff"}', 'latin1'),
    ],
    ['is HTML', /is not JSON/, () => '<html><body>Sign in</body></html>'],
    ['is a number', /is not a JSON object/, () => '1'],
    [
      'has another prototype',
      /names no image/,
      () => '{"schemaVersion":2,"__proto__":{"manifests":[{}]},"constructor":1}',
    ],
    [
      'has a key twice',
      /names no image/,
      ({ manifest }) => `{"schemaVersion":2,"manifests":[${JSON.stringify(manifest)}],"manifests":null}`,
    ],
    [
      'has a media type of megabytes',
      /media type/,
      () => ({ schemaVersion: 2, mediaType: 'x'.repeat(3 * MEBIBYTE) }),
    ],
    [
      'has a media type with terminal sequences',
      /media type/,
      () => ({ schemaVersion: 2, mediaType: '\x1b[2J\x9b31m\u202e\n' }),
    ],
    [
      'has another digest algorithm',
      /digest/,
      ({ manifest }) => indexOf([{ ...manifest, digest: `sha512:${'0'.repeat(128)}` }]),
    ],
    [
      'has a digest in upper case',
      /digest/,
      ({ manifest }) => indexOf([{ ...manifest, digest: manifest.digest.toUpperCase() }]),
    ],
    [
      'has a digest that is a path',
      /digest/,
      ({ manifest }) => indexOf([{ ...manifest, digest: 'sha256:../../../../evil' }]),
    ],
    ...[-1, 0.5, 2 ** 53].map((size): [string, RegExp, (image: HeldImage) => object] => [
      `has the size ${size}`,
      /size/,
      ({ manifest }) => indexOf([{ ...manifest, size }]),
    ]),
  ])('is refused for an index that %s', async (_what, why, make) => {
    await refusePull(why, ({ registry, image }) => {
      registry.hold(MEDIA_TYPE.index, make(image), 'v1');
    });
  });

  it('is refused for a manifest called an index', async () => {
    await refusePull(/unexpected media type/, ({ registry, image }) => {
      registry.hold(MEDIA_TYPE.index, manifestOf(image.config, [image.ebpf]), 'v1');
    });
  });

  it('is refused for an index called a manifest', async () => {
    await refusePull(/unexpected media type/, ({ registry, image }) => {
      registry.hold(MEDIA_TYPE.manifest, indexOf([image.manifest]), 'v1');
    });
  });

  it('is refused for a page instead of a manifest', async () => {
    await refusePull(/is not an image: .*text\/html/, ({ registry }) => {
      registry.on('manifests/v1', send('<html>', { 'content-type': 'text/html; charset=utf-8' }));
    });
  });

  it('keeps the terminal from what a header says', async () => {
    await refusePull(/is not an image/, ({ registry }) => {
      registry.on('manifests/v1', send('{}', { 'content-type': `x/\x9b2J${'y'.repeat(10_000)}` }));
    });
  });
});

describe('a registry that leads elsewhere', () => {
  it.each(['file:///etc/passwd', 'data:application/json,{}', '//'])(
    'is not followed to %s',
    async (location) => {
      await refusePull(/redirected .* not allowed/, ({ registry }) => {
        registry.on('manifests/v1', redirect(location));
      });
    },
  );

  it('is not followed from https to http', async () => {
    const other = await HostileRegistry.start();
    const prepare = ({ registry, image }: Case): void => {
      registry.on(image.ebpf.digest, redirect(`http://${other.host}/x`));
    };
    await refusePull(/redirected .* not allowed/, prepare, { tls: true });
    expect(other.requests).toEqual([]);
  });

  it.each(['127.0.0.1', 'localhost', '[::ffff:127.0.0.1]', '2130706433', '169.254.169.254'])(
    'is not followed to this machine as %s',
    async (host) => {
      const other = await HostileRegistry.start();
      await refusePull(/redirected .* not allowed/, ({ registry, image }) => {
        registry.on(image.ebpf.digest, redirect(`http://${host}:${other.host.split(':')[1]}/x`));
        return `registry.test:${registry.host.split(':')[1]}/x/sample:v1`;
      });
      expect(other.requests).toEqual([]);
    },
  );

  it('is not followed in circles', async () => {
    const registry = await refusePull(/redirected .* more than 5 times/, ({ registry, image }) => {
      registry.on(image.ebpf.digest, redirect('?again'));
      registry.on('?again', redirect('?again'));
    });
    expect(registry.requests.length).toBeLessThan(20);
  });
});

describe('a registry that does not answer properly', () => {
  it('is given up when it breaks every connection', async () => {
    const registry = await refusePull(/cannot reach registry/, ({ registry }) => {
      registry.on('manifests/v1', breakAfter(undefined));
    });
    expect(registry.requests.length).toBeLessThan(20);
  });

  it('is given up when it breaks connections in the middle of manifests', async () => {
    await refusePull(/cannot reach registry/, ({ registry }) => {
      registry.on('manifests/v1', breakAfter(Buffer.from('{'), { 'content-type': MEDIA_TYPE.index }));
    });
  });

  it.each([403, 404, 500])('keeps the terminal from what its answer %d says', async (status) => {
    await refusePull(/no such image|denies access|answered 500/, ({ registry }) => {
      const message = '\x1b]0;owned\x07\x1b[2J\nError: all is well';
      registry.on('manifests/v1', send({ errors: [{ code: 'X', message }] }, {}, status));
    });
  });

  it.each(['Bearer realm="file:///etc/passwd"', `Bearer realm="${'x'.repeat(8000)}"`, 'Bearer', 'Negotiate'])(
    'is refused for the challenge %.40s',
    async (challenge) => {
      await refusePull(/asks for/, ({ registry }) => {
        registry.on('manifests/v1', send('', { 'www-authenticate': challenge }, 401));
      });
    },
  );
});

describe('a registry that sends a byte now and then', () => {
  // The limit that `ig` sets is half a minute.
  const timeoutMs = 500;

  it.each(['manifests/v1', 'blobs'])('is given up in %s', async (part) => {
    const registry = await HostileRegistry.start();
    const image = holdImage(registry);
    registry.on(
      part === 'blobs' ? image.ebpf.digest : part,
      sendForever('{', { 'content-type': MEDIA_TYPE.index }, 20),
    );
    const name = `${registry.host}/x/sample:v1`;
    const options = { insecureRegistries: [registry.host], timeoutMs };
    const repository = new RegistryRepository({ registry: registry.host, repository: 'x/sample' }, options);
    const read = async (): Promise<void> => {
      await repository.resolve(name);
      for await (const chunk of await repository.fetch(image.ebpf)) void chunk;
    };
    await expect(read()).rejects.toThrow(UnreachableError);
    await repository.close();
  });
});

describe('an archive', () => {
  const whole = ({ marker, index, blobs }: ArchivedImage, ...more: TarEntry[]): TarEntry[] => [
    marker,
    ...more,
    index,
    ...blobs,
  ];

  it('is imported if it is sound', async () => {
    const confinement = new Confinement();
    const path = writeTar(join(confinement.work, 'image.tar'), whole(archivedImage()));
    const { status, stderr, written, peakBytes } = await confinement.run(['image', 'import', path]);
    expect([status, stderr]).toEqual([0, '']);
    expect(written.every((name) => name.startsWith('var-lib/ig/'))).toBe(true);
    expect(peakBytes).toBeLessThan(MAX_PEAK_BYTES);
    expect(confinement.contents()).toEqual({ names: ['ghcr.io/x/sample:v1'], unfinished: [] });
  });

  const gigabyte = 1000 * MEBIBYTE;
  const octal = (size: number): string => `${size.toString(8).padStart(11, '0')} `;

  it.each<[string, RegExp, (image: ArchivedImage) => TarEntry[], number?]>([
    ...['../evil', '/tmp/evil', 'blobs/../../evil'].map(
      (name): [string, RegExp, (image: ArchivedImage) => TarEntry[]] => [
        `a file ${name}`,
        /leads outside/,
        (image) => whole(image, { name, content: 'x' }),
      ],
    ),
    ...Object.entries({ 1: 'link', 2: 'symlink', 3: 'character-device', 4: 'block-device', 6: 'fifo' }).map(
      ([type, what]): [string, RegExp, (image: ArchivedImage) => TarEntry[]] => [
        `a ${what}`,
        new RegExp(`is a ${what}`),
        (image) => whole(image, { name: 'blobs/sha256/evil', type, linkName: '/etc/passwd' }),
      ],
    ),
    [
      'a link in place of its index',
      /is a symlink/,
      ({ marker, blobs }) => [marker, { name: 'index.json', type: '2', linkName: '/etc/passwd' }, ...blobs],
    ],
    ['two indexes', /is in it twice/, (image) => whole(image, indexJson([]))],
    [
      'two indexes by different paths',
      /is in it twice/,
      (image) => whole(image, { ...indexJson([]), name: './/index.json' }),
    ],
    [
      'an extended header that leads outside',
      /leads outside/,
      (image) => whole(image, paxHeader('path', '../../evil'), { name: 'x', content: 'x' }),
    ],
    [
      'an extended header with a size of terabytes',
      /larger than|not a complete tar/,
      (image) => whole(image, paxHeader('size', '9'.repeat(13)), { name: 'x', content: 'x' }),
    ],
    [
      'an extended header without end',
      /./,
      (image) => whole(image, { name: 'x', type: 'x', sizeField: octal(gigabyte) }),
      gigabyte + 4096,
    ],
    [
      'a name of a gigabyte',
      /./,
      ({ marker, index }) => [
        marker,
        index,
        { name: '././@LongLink', type: 'L', sizeField: octal(gigabyte) },
      ],
      gigabyte + 8192,
    ],
    [
      'a file of a negative size',
      /impossible size|not a complete tar file/,
      (image) => whole(image, { name: 'x', sizeField: `${'\xff'.repeat(8)}${'\0'.repeat(4)}` }),
    ],
    [
      'a file larger than anything',
      /./,
      (image) => whole(image, { name: 'x', sizeField: `\x80${'\x7f'.repeat(11)}` }),
    ],
    [
      'a file larger than the archive',
      /not a complete tar file/,
      (image) => whole(image, { name: 'x', sizeField: octal(1000000) }),
    ],
    ['a sparse file', /is a|unknown kind/, (image) => whole(image, { name: 'x', type: 'S', content: 'x' })],
    ['a length of terabytes', /is larger than/, (image) => whole(image), 2 ** 41],
    [
      '20,000 files',
      /holds more than 10000 files/,
      (image) => whole(image, ...Array.from({ length: 20_000 }, (_, n) => ({ name: `blobs/${n}` }))),
    ],
    [
      '20,000 folders',
      /holds more than 10000 files/,
      (image) =>
        whole(image, ...Array.from({ length: 20_000 }, (_, n) => ({ name: `blobs/${n}`, type: '5' }))),
    ],
    [
      'an index of 100 MB',
      /index\.json .* is larger than 4194304 bytes/,
      ({ marker }) => [marker, { name: 'index.json', content: Buffer.alloc(100 * MEBIBYTE, ' ') }],
    ],
    ['no index', /has no oci-layout and index\.json/, ({ marker }) => [marker]],
    [
      'a part missing',
      /is missing from the archive/,
      ({ marker, index, blobs }) => [marker, index, ...blobs.slice(1)],
    ],
    [
      'an altered part',
      /is corrupt/,
      (image) => {
        const [first, ...others] = image.blobs;
        return whole({ ...image, blobs: [{ ...first!, content: 'name: trace_simple\n' }, ...others] });
      },
    ],
    [
      'a name that is a path',
      /which is none for an image/,
      () =>
        whole(archivedImage({ annotations: { 'org.opencontainers.image.ref.name': '../../../etc/passwd' } })),
    ],
    [
      'a name with terminal sequences',
      /which is none for an image/,
      () =>
        whole(archivedImage({ annotations: { 'org.opencontainers.image.ref.name': 'a/\x1b[2J\u202e\n:b' } })),
    ],
    [
      'annotations of a megabyte',
      /annotations/,
      () =>
        whole(
          archivedImage({
            annotations: { 'org.opencontainers.image.ref.name': 'a/b:c', x: 'x'.repeat(MEBIBYTE) },
          }),
        ),
    ],
    [
      'a program for an image',
      /is not an image: its media type/,
      () => whole(archivedImage({ mediaType: MEDIA_TYPE.ebpf })),
    ],
    [
      'an index for an image',
      /unexpected media type/,
      () => whole(archivedImage({ mediaType: MEDIA_TYPE.index })),
    ],
  ])('is refused with %s', async (_what, why, make, lengthBytes) => {
    const confinement = new Confinement();
    const path = writeTar(join(confinement.work, 'image.tar'), make(archivedImage()), lengthBytes);
    expectRefused(confinement, await confinement.run(['image', 'import', path]), why);
  });

  it('is refused when it is compressed, before it swells', async () => {
    const confinement = new Confinement();
    const path = join(confinement.work, 'image.tar');
    writeFileSync(path, gzipSync(tarEntry({ name: 'x', content: Buffer.alloc(100 * MEBIBYTE) })));
    expectRefused(confinement, await confinement.run(['image', 'import', path]), /is compressed/);
  });

  it('is refused when it is a device', async () => {
    const confinement = new Confinement();
    expectRefused(
      confinement,
      await confinement.run(['image', 'import', '/dev/zero']),
      /is not a regular file/,
    );
  });

  it('cannot fill the index of the store until nothing can be read from it', async () => {
    const confinement = new Confinement();
    const filler = 'x'.repeat(60_000);
    const many = Array.from({ length: 100 }, (_, n) => ({
      ...archivedImage().manifest,
      annotations: { 'org.opencontainers.image.ref.name': `ghcr.io/x/sample:v${n}`, filler },
    }));
    for (const part of [many.slice(0, 50), many.slice(50)]) {
      const path = writeTar(
        join(confinement.work, 'image.tar'),
        whole({ ...archivedImage(), index: indexJson(part) }),
      );
      await confinement.run(['image', 'import', path]);
    }
    const { status, stderr } = await confinement.run(['image', 'list']);
    expect([status, stderr]).toEqual([0, '']);
  });
});

describe('a name', () => {
  it.each([
    'a\x1b[2J',
    'a\nb',
    '\u202egpj.elf',
    'a/../../etc/passwd',
    `a@sha256:${'A'.repeat(64)}`,
    'x'.repeat(100_000),
  ])('is refused as one readable line if it is %j', async (name) => {
    const { status, stderr } = await new Confinement().run(['image', 'pull', name]);
    expect(stderr).toMatch(/^Error: [\x20-\x7e\u2026]{1,700}\n$/);
    expect(status).toBe(2);
  });
});

describe('metadata that keeps a parser busy', () => {
  it.each([
    ['commas', `[${','.repeat(65_000)}`],
    ['brackets', '['.repeat(65_000)],
    ['quotes', '"'.repeat(65_000)],
    ['keys', Array.from({ length: 6_000 }, (_, n) => `k${n}: 1`).join('\n')],
    ['a megabyte', 'a: 1\n'.repeat(200_000)],
    ['text', '{"name":"' + '\\u0000'.repeat(150_000) + '"}'],
  ])('such as %s takes little memory to refuse', async (_what, metadata) => {
    const registry = await HostileRegistry.start();
    const config = registry.hold(MEDIA_TYPE.gadgetConfig, metadata);
    const manifest = registry.hold(MEDIA_TYPE.manifest, manifestOf(config, []));
    registry.hold(MEDIA_TYPE.index, indexOf([manifest]), 'v1');
    const words = [
      'run',
      `${registry.host}/x/sample:v1`,
      '--verify-image=false',
      '--insecure-registries',
      registry.host,
    ];
    const { status, stderr, peakBytes } = await new Confinement().run(words);
    expect(stderr).toMatch(/^Error: [\x20-\x7e\u2026]{1,1000}\n$/);
    expect(status).toBe(1);
    expect(peakBytes).toBeLessThan(MAX_PEAK_BYTES);
  });
});

describe('an eBPF object', () => {
  const builtin = new Layout(fileURLToPath(new URL('../../dist/images', import.meta.url)));

  /** The built-in gadget's. */
  async function soundObject(): Promise<Buffer> {
    const [entry] = await builtin.list();
    const { ebpf } = await readGadgetImage(builtin, entry!.descriptor, { architecture: ociArchitecture() });
    return Buffer.from(ebpf!);
  }

  /** Makes all pointers point to a type that does not exist; ids that lead nowhere have made libbpf crash. */
  function misleadPointers(object: Buffer): Buffer {
    const start = object.indexOf(Buffer.from([0x9f, 0xeb, 1, 0, 24, 0, 0, 0]));
    const end = start + 24 + object.readUInt32LE(start + 12);
    const pointer = 2 << 24;
    for (let at = start + 24; at + 8 <= end; at += 4) {
      if (object.readUInt32LE(at) === pointer) object.writeUInt32LE(0xffffff, at + 4);
    }
    return object;
  }

  it.each<[string, (object: Buffer) => Buffer, RegExp]>([
    ['is HTML', () => Buffer.from('<html>Sign in</html>'), /^Warning: [^\n]*not an ELF file/],
    ['is cut off', (object) => object.subarray(0, 5000), /^Warning: [^\n]*cut off/],
    ['has types that lead nowhere', misleadPointers, /^Warning: [^\n]*refers to type 16777215/],
  ])('that %s is left out of what is shown of its image', async (_what, spoil, warning) => {
    const registry = await HostileRegistry.start();
    const config = registry.hold(MEDIA_TYPE.gadgetConfig, 'name: trace_sample\n');
    const ebpf = registry.hold(MEDIA_TYPE.ebpf, spoil(await soundObject()));
    const manifest = registry.hold(MEDIA_TYPE.manifest, manifestOf(config, [ebpf]));
    registry.hold(MEDIA_TYPE.index, indexOf([manifest]), 'v1');
    const words = [
      'image',
      'inspect',
      `${registry.host}/x/sample:v1`,
      '--insecure-registries',
      registry.host,
    ];
    const { status, signal, stdout, stderr, peakBytes, written } = await new Confinement().run(words);
    expect([signal, status]).toEqual([null, 0]);
    expect(stderr).toMatch(warning);
    expect(stderr.split('\n')).toHaveLength(2);
    expect(JSON.parse(stdout)).toHaveProperty('oci.metadata.name', 'trace_sample');
    expect(JSON.parse(stdout)).not.toHaveProperty('ebpf');
    expect(peakBytes).toBeLessThan(MAX_PEAK_BYTES);
    expect(written.filter((path) => !path.startsWith('var-lib/ig/'))).toEqual([]);
  });
});
