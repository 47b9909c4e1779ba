import type { Manifest } from '@sluice/contracts';

/** What `make` gives for a manifest, made once for as long as that manifest is in memory: the same ones are asked for again and again. */
export function perManifest<Made extends object>(make: (manifest: Manifest) => Made): (manifest: Manifest) => Made {
  const known = new WeakMap<Manifest, Made>();
  return (manifest) => {
    let made = known.get(manifest);
    if (made === undefined) {
      made = make(manifest);
      known.set(manifest, made);
    }
    return made;
  };
}
