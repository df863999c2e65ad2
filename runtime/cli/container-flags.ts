// The flags that choose containers and say where their engines are: the same for every command that has to do with them.

import { Option } from 'commander';
import type { EngineOptions } from '../containers/engines/index.js';
import { RUNTIMES, type RuntimeName } from '../containers/container.js';
import type { SelectorOptions } from '../containers/selector.js';
import { UsageError } from './fail.js';

/** What the user gave, as commander names it. */
export interface ContainerFlags {
  readonly host?: boolean;
  readonly containername?: string;
  readonly runtimeContainername?: string;
  readonly k8sContainername?: string;
  readonly k8sPodname?: string;
  readonly k8sNamespace?: string;
  readonly k8sSelector?: string;
  readonly runtimeContainerimageDigest?: string;
  readonly containerimageDigest?: string;
  readonly runtimeContainerimageId?: string;
  readonly containerimageId?: string;
  readonly runtimes?: readonly RuntimeName[];
  readonly dockerSocketpath?: string;
  readonly containerdSocketpath?: string;
  readonly crioSocketpath?: string;
  readonly podmanSocketpath?: string;
  readonly containerdNamespace?: string;
  readonly runtimeProtocol?: 'internal' | 'cri';
}

/** Flags that choose containers: comma lists, "!" excludes. */
export function selectionOptions(): Option[] {
  return [
    new Option('--host', 'also the host, not only containers'),
    new Option(
      '-c, --containername <names>',
      'only these containers: a comma list, as all the following; !NAME excludes',
    ),
    new Option('--runtime-containername <names>', 'the same').hideHelp(),
    new Option('--k8s-containername <names>', 'only containers that their pods name so'),
    new Option('--k8s-podname <names>', 'only containers of these pods'),
    new Option('--k8s-namespace <names>', 'only containers of pods in these namespaces'),
    new Option(
      '--k8s-selector <labels>',
      'only containers of pods with these labels: role=demo,tier!=db,"env in (a,b)"',
    ),
    new Option(
      '--runtime-containerimage-digest <digests>',
      'only containers of images with these manifest digests',
    ),
    new Option('--containerimage-digest <digests>', 'the same').hideHelp(),
    new Option('--runtime-containerimage-id <ids>', 'only containers of images with these ids'),
    new Option('--containerimage-id <ids>', 'the same').hideHelp(),
  ];
}

/** Flags that say which engines to ask, and where. */
export function engineOptions(): Option[] {
  return [
    new Option(
      '-r, --runtimes <names>',
      `engines to ask: a comma list (default: ${RUNTIMES.join(',')})`,
    ).argParser(parseRuntimes),
    new Option('--docker-socketpath <path>', 'docker socket (default /run/docker.sock)'),
    new Option(
      '--containerd-socketpath <path>',
      'containerd socket (default /run/containerd/containerd.sock)',
    ),
    new Option('--containerd-namespace <name>', 'the only containerd namespace to look into'),
    new Option('--runtime-protocol <protocol>', 'how to ask containerd: its own API, or that of Kubernetes')
      .choices(['internal', 'cri'])
      .default('internal'),
    new Option('--crio-socketpath <path>', 'CRI-O socket (default /run/crio/crio.sock)'),
    new Option('--podman-socketpath <path>', 'podman socket (default /run/podman/podman.sock)'),
  ];
}

function parseRuntimes(list: string): RuntimeName[] {
  return list.split(',').map((item) => {
    const name = item.trim() === 'crio' ? 'cri-o' : item.trim();
    const runtime = RUNTIMES.find((known) => known === name);
    if (runtime === undefined) {
      throw new UsageError(`-r: there is no container engine "${name}"; there are ${RUNTIMES.join(', ')}`);
    }
    return runtime;
  });
}

export function selectionOf(flags: ContainerFlags): SelectorOptions {
  return present({
    host: flags.host,
    containerName: flags.runtimeContainername ?? flags.containername,
    k8sContainerName: flags.k8sContainername,
    k8sPodName: flags.k8sPodname,
    k8sNamespace: flags.k8sNamespace,
    k8sSelector: flags.k8sSelector,
    imageDigest: flags.runtimeContainerimageDigest ?? flags.containerimageDigest,
    imageId: flags.runtimeContainerimageId ?? flags.containerimageId,
  });
}

export function enginesOf(flags: ContainerFlags): EngineOptions {
  return present({
    runtimes: flags.runtimes,
    dockerSocketPath: flags.dockerSocketpath,
    containerdSocketPath: flags.containerdSocketpath,
    crioSocketPath: flags.crioSocketpath,
    podmanSocketPath: flags.podmanSocketpath,
    containerdNamespace: flags.containerdNamespace,
    runtimeProtocol: flags.runtimeProtocol,
  });
}

type Present<T> = { [K in keyof T]?: Exclude<T[K], undefined> };

/** Without what is undefined. */
function present<T extends object>(given: T): Present<T> {
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)) as Present<T>;
}
