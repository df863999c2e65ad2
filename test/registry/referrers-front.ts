/**
 * Gives a registry the referrers API of the OCI distribution spec v1.1, which Debian's docker-registry lacks: passes
 * everything on to it, and keeps the list of what refers to what itself, two entries a page.
 */
import { request as forward } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { MEDIA_TYPE, describe } from '../../oci/descriptor.js';
import type { Descriptor } from '../../oci/descriptor.js';
import { describeReferrer } from '../../oci/referrers.js';
import { bodyOf, serve } from './server.js';
import type { RunningServer } from './server.js';

const PAGE = 2;

/** Starts it in front of the registry at `host`; it ends with the present test. */
export function serveReferrers(host: string): Promise<RunningServer> {
  const lists = new Map<string, Descriptor[]>();
  return serve((request, response) => {
    const url = new URL(request.url ?? '', `http://${host}`);
    const subject = /\/referrers\/(sha256:[0-9a-f]{64})$/.exec(url.pathname)?.[1];
    if (subject !== undefined) list(lists.get(subject) ?? [], url, response);
    else void pass(request, response, url, lists);
  });
}

function list(all: readonly Descriptor[], url: URL, response: ServerResponse): void {
  const artifactType = url.searchParams.get('artifactType');
  const wanted = all.filter((entry) => artifactType === null || entry.artifactType === artifactType);
  const begin = Number(url.searchParams.get('from') ?? 0);
  const manifests = wanted.slice(begin, begin + PAGE);
  response.setHeader('content-type', MEDIA_TYPE.index);
  if (artifactType !== null) response.setHeader('oci-filters-applied', 'artifactType');
  if (begin + PAGE < wanted.length) {
    const next = new URLSearchParams({ ...Object.fromEntries(url.searchParams), from: `${begin + PAGE}` });
    response.setHeader('link', `<${url.pathname}?${next.toString()}>; rel="next"`);
  }
  response.end(JSON.stringify({ schemaVersion: 2, mediaType: MEDIA_TYPE.index, manifests }));
}

async function pass(
  request: IncomingMessage,
  response: ServerResponse,
  url: URL,
  lists: Map<string, Descriptor[]>,
): Promise<void> {
  const { method = 'GET', headers } = request;
  const body = await bodyOf(request);
  const subject = method === 'PUT' ? note(body, headers['content-type'] ?? '', lists) : undefined;
  const passed = forward(url, { method, headers }, (answer) => {
    const noted = subject === undefined ? {} : { 'oci-subject': subject };
    response.writeHead(answer.statusCode ?? 502, { ...answer.headers, ...noted });
    answer.pipe(response);
  });
  passed.on('error', () => response.destroy());
  passed.end(body);
}

/** The subject of a manifest that is put, if it has one. */
function note(body: Buffer, mediaType: string, lists: Map<string, Descriptor[]>): string | undefined {
  if (!([MEDIA_TYPE.manifest, MEDIA_TYPE.index] as string[]).includes(mediaType)) return undefined;
  const referrer = describeReferrer(describe(mediaType, body), body);
  if (referrer === undefined) return undefined;
  const { digest } = referrer.subject;
  lists.set(digest, [...(lists.get(digest) ?? []), referrer.descriptor]);
  return digest;
}
