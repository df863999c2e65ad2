/**
 * Keeps a registry out in the world from sending us to services of this machine (server-side request forgery):
 * what its answers name, as redirects do, must not be at a loopback or link-local address.
 *
 * The registry is judged by the name the user gave, since its owner decides what that resolves to. A name that a
 * proxy looks up is the proxy's to judge.
 */
import { lookup } from 'node:dns';
import { BlockList, isIP } from 'node:net';
import type { LookupFunction } from 'node:net';
import { RegistryError } from './errors.js';

/** RFC 1122 3.2.1.3, RFC 3927, RFC 4291 2.4; clouds give credentials to their machines at 169.254.169.254. */
const OWN = new BlockList();
OWN.addSubnet('0.0.0.0', 8, 'ipv4');
OWN.addSubnet('127.0.0.0', 8, 'ipv4');
OWN.addSubnet('169.254.0.0', 16, 'ipv4');
OWN.addAddress('::', 'ipv6');
OWN.addAddress('::1', 'ipv6');
OWN.addSubnet('fe80::', 10, 'ipv6');

/** RFC 1918, RFC 4193, RFC 6598. */
const PRIVATE = new BlockList();
PRIVATE.addSubnet('10.0.0.0', 8, 'ipv4');
PRIVATE.addSubnet('100.64.0.0', 10, 'ipv4');
PRIVATE.addSubnet('172.16.0.0', 12, 'ipv4');
PRIVATE.addSubnet('192.168.0.0', 16, 'ipv4');
PRIVATE.addSubnet('fc00::', 7, 'ipv6');

/** Whether a URL's host is, by its name alone, this machine. */
export function isOwnHost(hostname: string): boolean {
  return /^(?:.+\.)?localhost\.?$/.test(hostname) || isIn(OWN, hostname);
}

/** Whether a URL's host is, by its name alone, this machine or in a private network. */
export function isPrivateHost(hostname: string): boolean {
  return isOwnHost(hostname) || isIn(PRIVATE, hostname);
}

function isIn(list: BlockList, hostname: string): boolean {
  const address = hostname.replace(/^\[|\]$/g, '');
  const version = isIP(address);
  return version !== 0 && list.check(address, version === 6 ? 'ipv6' : 'ipv4');
}

/** `dns.lookup` that fails for names with addresses of this machine. */
export const guardedLookup: LookupFunction = (hostname, options, callback) => {
  lookup(hostname, { ...options, all: true }, (error, addresses) => {
    if (error !== null) callback(error, []);
    else if (addresses.some(({ address }) => isIn(OWN, address))) callback(refused(hostname), []);
    else if (options.all === true) callback(null, addresses);
    else callback(null, addresses[0]?.address ?? '', addresses[0]?.family);
  });
};

function refused(hostname: string): RegistryError {
  return new RegistryError(
    `the registry redirected to an address that is not allowed: ${hostname} is this machine`,
  );
}
