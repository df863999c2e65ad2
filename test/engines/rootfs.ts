// What the tests' containers are made of: a root directory, and an image of it that every engine can load.
//
//   makeRootfs(`${directory}/rootfs`);
//   makeImageArchive(`${directory}/rootfs`, 'docker.io/library/busybox:latest', `${directory}/busybox.tar`);
//   // docker load -i, ctr images import, podman load -i

import { createHash } from 'node:crypto';
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { arch, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

/** A root directory of busybox with a link for each applet, and dash as sh: Debian's ash runs many applets inside. */
export function makeRootfs(root: string): void {
  for (const name of ['bin', 'etc', 'proc', 'sys', 'dev', 'root', 'tmp']) {
    mkdirSync(join(root, name), { recursive: true });
  }
  chmodSync(join(root, 'tmp'), 0o1777);
  const busybox = join(root, 'bin/busybox');
  cpSync(pathOf('busybox'), busybox);
  const applets = execFileSync(busybox, ['--list'], { encoding: 'utf8' }).split('\n');
  for (const applet of applets.filter((name) => name !== '' && name !== 'busybox' && name !== 'sh')) {
    symlinkSync('/bin/busybox', join(root, 'bin', applet));
  }
  const dash = pathOf('dash');
  cpSync(dash, join(root, 'bin/sh'), { dereference: true });
  for (const [library] of execFileSync('ldd', [dash], { encoding: 'utf8' }).matchAll(/\/\S+/g)) {
    mkdirSync(dirname(join(root, library)), { recursive: true });
    cpSync(library, join(root, library), { dereference: true });
  }
  writeFileSync(
    join(root, 'etc/passwd'),
    'root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534::/:/bin/false\n',
  );
  writeFileSync(join(root, 'etc/group'), 'root:x:0:\nnobody:x:65534:\n');
}

function pathOf(program: string): string {
  return execFileSync('sh', ['-c', `command -v ${program}`], { encoding: 'utf8' }).trim();
}

/**
 * Writes an image of one layer as `docker save` does (manifest.json, configuration, layer); `config` is that of an
 * OCI image (`{ Entrypoint: ['/pause'] }`).
 */
export function makeImageArchive(
  rootfs: string,
  reference: string,
  archivePath: string,
  config: Readonly<Record<string, unknown>> = { Cmd: ['sh'] },
): void {
  const directory = mkdtempSync(join(tmpdir(), 'ig-image-'));
  try {
    execFileSync('tar', ['-C', rootfs, '--numeric-owner', '-cf', join(directory, 'layer.tar'), '.']);
    const layer = sha256(readFileSync(join(directory, 'layer.tar')));
    const text = JSON.stringify({
      architecture: arch() === 'arm64' ? 'arm64' : 'amd64',
      os: 'linux',
      config: { Env: ['PATH=/bin'], ...config },
      rootfs: { type: 'layers', diff_ids: [`sha256:${layer}`] },
    });
    const configName = `${sha256(Buffer.from(text))}.json`;
    const manifest = [{ Config: configName, RepoTags: [reference], Layers: ['layer.tar'] }];
    writeFileSync(join(directory, configName), text);
    writeFileSync(join(directory, 'manifest.json'), JSON.stringify(manifest));
    execFileSync('tar', ['-C', directory, '-cf', archivePath, 'manifest.json', configName, 'layer.tar']);
  } finally {
    rmSync(directory, { recursive: true });
  }
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}
