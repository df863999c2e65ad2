import { writeFileSync } from 'node:fs';
import type { ServerResponse } from 'node:http';
import { join } from 'node:path';
import { describe as suite, expect, it, onTestFinished } from 'vitest';
import { temporaryDirectory } from '../test/registry/images.js';
import { bodyOf, serve } from '../test/registry/server.js';
import type { Handler } from '../test/registry/server.js';
import { MEDIA_TYPE, describe } from './descriptor.js';
import type { Descriptor } from './descriptor.js';
import { InvalidImageError, RegistryError } from './errors.js';
import { parseReference } from './reference.js';
import { RegistryRepository } from './registry.js';

const SUBJECT = describe(MEDIA_TYPE.index, Buffer.from('an image'));
const API = `/v2/a/b/referrers/${SUBJECT.digest}`;
const TAG = `/v2/a/b/manifests/${SUBJECT.digest.replace(':', '-')}`;

/** What `open` gives of a registry that answers as `handler` says. */
async function registryThat(
  handler: Handler,
): Promise<{ repository: RegistryRepository; urls: () => string[] }> {
  const { host, requests } = await serve(handler);
  const authFile = join(temporaryDirectory(), 'config.json');
  writeFileSync(authFile, '{}');
  const options = { insecureRegistries: [host], authFile };
  const repository = new RegistryRepository(parseReference(`${host}/a/b`), options);
  onTestFinished(() => repository.close());
  return { repository, urls: () => requests.map(({ method, url }) => `${method} ${url}`) };
}

function entry(n: number, artifactType = 'text/plain'): Descriptor {
  return { ...describe(MEDIA_TYPE.manifest, Buffer.from(`${n}`)), artifactType };
}

function sendIndex(response: ServerResponse, manifests: readonly Descriptor[], headers = {}): void {
  response.writeHead(200, { 'content-type': MEDIA_TYPE.index, ...headers });
  response.end(JSON.stringify({ schemaVersion: 2, mediaType: MEDIA_TYPE.index, manifests }));
}

suite('the list of what refers to an image', () => {
  it.each(['?page=2', `${API}?page=2`])('goes on at the address %s of its first page', async (next) => {
    const { repository, urls } = await registryThat((request, response) => {
      if (request.url?.endsWith('?page=2') === true) sendIndex(response, [entry(2)]);
      else sendIndex(response, [entry(1)], { link: `<${next}>; rel="next"` });
    });
    expect(await repository.referrers(SUBJECT)).toEqual([entry(1), entry(2)]);
    expect(urls()).toEqual([`GET ${API}`, `GET ${API}?page=2`]);
  });

  it('does not go on at another server', async () => {
    const { repository } = await registryThat((_request, response) => {
      sendIndex(response, [entry(1)], { link: '<http://127.0.0.1:1/next>; rel="next"' });
    });
    await expect(repository.referrers(SUBJECT)).rejects.toThrow('continues');
  });

  it('without end is refused', async () => {
    const { repository, urls } = await registryThat((_request, response, count) => {
      sendIndex(response, [entry(count)], { link: `<?page=${count}>; rel="next"` });
    });
    await expect(repository.referrers(SUBJECT)).rejects.toThrow('or more than 32 pages');
    expect(urls().length).toBe(32);
  });

  it('has only those of the type asked for, whether the registry picked them or says so', async () => {
    const { repository, urls } = await registryThat((_request, response) => {
      sendIndex(response, [entry(1, 'a/b+c'), entry(2)], { 'oci-filters-applied': 'artifactType' });
    });
    expect(await repository.referrers(SUBJECT, 'a/b+c')).toEqual([entry(1, 'a/b+c')]);
    expect(urls()).toEqual([`GET ${API}?artifactType=a%2Fb%2Bc`]);
  });

  it.each([400, 404, 405, 200])(
    'is that of the tag when the API answers %d without a list',
    async (status) => {
      const { repository, urls } = await registryThat((request, response) => {
        if (request.url === TAG) sendIndex(response, [entry(1)]);
        else response.writeHead(status, { 'content-type': 'text/html' }).end('<html>');
      });
      expect(await repository.referrers(SUBJECT)).toEqual([entry(1)]);
      expect(urls()).toEqual([`GET ${API}`, `GET ${TAG}`]);
    },
  );

  it('is empty when there is neither API nor tag', async () => {
    const { repository } = await registryThat((_request, response) => response.writeHead(404).end());
    expect(await repository.referrers(SUBJECT)).toEqual([]);
  });

  it.each([
    ['is no list of descriptors', '{"schemaVersion":2,"manifests":[{}]}'],
    ['has too many entries', JSON.stringify({ schemaVersion: 2, manifests: Array(1001).fill(entry(1)) })],
  ])('that %s is refused', async (_what, body) => {
    const { repository } = await registryThat((request, response) => {
      response.writeHead(request.url === TAG ? 200 : 404, { 'content-type': MEDIA_TYPE.index }).end(body);
    });
    await expect(repository.referrers(SUBJECT)).rejects.toThrow(InvalidImageError);
  });

  it('is not taken for empty when the registry fails', async () => {
    const { repository } = await registryThat((_request, response) => response.writeHead(403).end());
    await expect(repository.referrers(SUBJECT)).rejects.toThrow('denies access');
  });
});

suite('attaching a manifest', () => {
  const BYTES = Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: MEDIA_TYPE.manifest,
      artifactType: 'text/plain',
      config: describe(MEDIA_TYPE.emptyJson, Buffer.from('{}')),
      layers: [],
      subject: SUBJECT,
    }),
  );
  const MANIFEST = describe(MEDIA_TYPE.manifest, BYTES);
  const ENTRY = { ...MANIFEST, artifactType: 'text/plain' };

  /** A registry without the API; `change` comes before each write of the tag. */
  async function tagged(change: (list: Descriptor[], write: number) => void): Promise<{
    repository: RegistryRepository;
    list: Descriptor[];
  }> {
    const list: Descriptor[] = [];
    let writes = 0;
    const etag = (): string => `"${list.map(({ digest }) => digest).join()}"`;
    const { repository } = await registryThat((request, response) => {
      void bodyOf(request).then((body) => {
        if (request.url !== TAG) response.writeHead(request.method === 'PUT' ? 201 : 404).end();
        else if (request.method === 'GET') {
          if (list.length === 0) response.writeHead(404).end();
          else sendIndex(response, list, { etag: etag() });
        } else {
          change(list, ++writes);
          const expected = request.headers['if-match'];
          if (expected !== undefined && expected !== etag()) response.writeHead(412).end();
          else {
            const written = JSON.parse(body.toString()) as { manifests: Descriptor[] };
            list.splice(0, list.length, ...written.manifests);
            response.writeHead(201).end();
          }
        }
      });
    });
    return { repository, list };
  }

  it('writes no tag when the registry says that it has noted the subject', async () => {
    const { repository, urls } = await registryThat((_request, response) => {
      response.writeHead(201, { 'oci-subject': SUBJECT.digest }).end();
    });
    await repository.attach(SUBJECT, MANIFEST, BYTES);
    expect(urls()).toEqual([`PUT /v2/a/b/manifests/${MANIFEST.digest}`]);
  });

  it('adds it to the tag when the registry does not', async () => {
    const { repository, list } = await tagged(() => undefined);
    await repository.attach(SUBJECT, MANIFEST, BYTES);
    await repository.attach(SUBJECT, MANIFEST, BYTES);
    expect(list).toEqual([ENTRY]);
  });

  it('loses nothing that another adds at the same time', async () => {
    const { repository, list } = await tagged((all, write) => {
      if (write === 1) all.push(entry(2)); // between our reading and writing
    });
    list.push(entry(1));
    await repository.attach(SUBJECT, MANIFEST, BYTES);
    expect(list).toEqual([entry(1), entry(2), ENTRY]);
  });

  it('is given up when others never stop writing', async () => {
    const { repository, list } = await tagged((all, write) => void all.push(entry(100 + write)));
    list.push(entry(1));
    await expect(repository.attach(SUBJECT, MANIFEST, BYTES)).rejects.toThrow('others keep changing it');
  });

  it('that is about something else is refused', async () => {
    const { repository, urls } = await registryThat((_request, response) => response.writeHead(201).end());
    const other = describe(MEDIA_TYPE.index, Buffer.from('another'));
    await expect(repository.attach(other, MANIFEST, BYTES)).rejects.toThrow('is not about');
    expect(urls()).toEqual([]);
  });

  it('that the registry refuses says why', async () => {
    const { repository } = await registryThat((_request, response) => {
      response.writeHead(400).end('{"errors":[{"message":"no"}]}');
    });
    await expect(repository.attach(SUBJECT, MANIFEST, BYTES)).rejects.toThrow(RegistryError);
  });
});
