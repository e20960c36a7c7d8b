/**
 * Series colours. A name always gets the same colour, on every page and in every session, because the colour is a hash
 * of the name and of nothing else. The twelve colours are in `tokens.css`, one set a theme; they differ in lightness as
 * well as hue so that they stay apart for colour-blind eyes, and none is the red that means "error".
 */

export const SERIES = 12;

/** Any number would do; with this one the services of common demonstrations share the fewest colours. */
const BASIS = 1600;

/** FNV-1a over the UTF-16 units of the name from our own basis, finished so that similar names spread. */
export function hashName(name: string): number {
  let hash = BASIS;
  for (let index = 0; index < name.length; index += 1) {
    hash = Math.imul(hash ^ name.charCodeAt(index), 0x01000193);
  }
  hash = Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d);
  return (hash ^ (hash >>> 12)) >>> 0;
}

export function seriesIndex(name: string): number {
  return hashName(name) % SERIES;
}

/** The colour of a series as a CSS value. */
export function seriesColor(name: string): string {
  return `var(--ph-series-${seriesIndex(name)})`;
}
