// `ig list-containers`: its flags; what it does is loaded only when it runs.

import { type Command, Option } from 'commander';
import { type ContainerFlags, engineOptions, selectionOptions } from './container-flags.js';
import { runOptions } from './run-flags.js';

/** What the user gave, as commander names it. */
export interface ListContainersFlags extends ContainerFlags {
  readonly watch?: boolean;
  /** Seconds; 0 = until stopped. */
  readonly timeout: number;
  readonly output: string;
  readonly verbose?: boolean;
}

function listContainersOptions(): Option[] {
  return [
    new Option('-w, --watch', 'go on: a line for each container that comes (CREATED) and goes (DELETED)'),
    new Option('-o, --output <mode>', 'columns, json, jsonpretty, yaml, or columns=NAME,… for these').default(
      'columns',
    ),
    ...selectionOptions().map(withoutHost),
    ...runOptions().filter((option) => option.long === '--timeout'),
    ...engineOptions(),
    new Option('-v, --verbose', 'add causes to errors'),
  ];
}

/** Accepted, as everywhere; but the host is no container. */
function withoutHost(option: Option): Option {
  return option.long === '--host' ? option.hideHelp() : option;
}

export const LIST_CONTAINERS_HELP = `
Every value of the JSON is a column by its full name: k8s.namespace, k8s.podName, k8s.containerName,
k8s.podLabels, k8s.podUID, k8s.hostnetwork, k8s.owner.kind, k8s.owner.name, runtime.containerName,
runtime.runtimeName, runtime.containerId, runtime.containerImageName, runtime.containerImageDigest,
runtime.containerImageId, runtime.containerPid, runtime.containerStartedAt, bundle, sandboxId, mntns, netns,
hostNetwork, cgroupPath, cgroupID, cgroupV1, cgroupV2, ociConfig; with --watch also event and timestamp.

Examples:
  ig list-containers
  ig list-containers -c web,db -o jsonpretty
  ig list-containers -o columns=runtime.containerName,mntns
  ig list-containers --watch -c '!noisy' --timeout 60`;

/** Adds the flags of `ig list-containers`, and what it does. */
export function declareListContainers(command: Command): void {
  for (const option of listContainersOptions()) command.addOption(option);
  command.addHelpText('after', LIST_CONTAINERS_HELP).action(async (flags: ListContainersFlags) => {
    const { listContainers } = await import('./list-containers.js');
    await listContainers(flags);
  });
}
