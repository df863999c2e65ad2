// Bounds what is kept of an engine's answers.

/** Puts a value into a map that forgets its oldest when there are more than `max`. */
export function remember<V>(map: Map<string, V>, key: string, value: V, max: number): void {
  map.delete(key);
  map.set(key, value);
  if (map.size > max) map.delete(map.keys().next().value!);
}
