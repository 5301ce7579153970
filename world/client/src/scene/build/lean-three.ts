/** What a bundler asks of a plugin that changes modules; a part of Vite's own type. */
interface TransformPlugin {
  name: string;
  apply: "build";
  transform(code: string, id: string): { code: string; map: null } | null;
}

/** A shader of three's own materials: a constant at the start of a line that is one string in double quotes. */
const SHADER = /^((?:var|const) [\w$]+ = )"(?:[^"\\]|\\.)*";/gm;
/** Fewer would mean that three is built differently now, and that this has to be looked at again. */
const LEAST_SHADERS = 100;

/**
 * Leaves three's built-in shaders out of the product, about 27 kB of the compressed bundle.
 *
 * The scene brings its own shaders for everything that it draws, so the built-in ones are never compiled.
 */
export function leanThree(): TransformPlugin {
  return {
    name: "lean-three",
    apply: "build",
    transform(code, id) {
      if (!id.endsWith("/three.module.js")) return null;
      let found = 0;
      const lean = code.replace(SHADER, (_whole, start: string) => {
        found += 1;
        return `${start}"";`;
      });
      if (found < LEAST_SHADERS) throw new Error(`expected ${LEAST_SHADERS} shaders in three, found ${found}`);
      return { code: lean, map: null };
    },
  };
}
