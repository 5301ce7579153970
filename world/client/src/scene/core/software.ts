const SOFTWARE = /swiftshader|llvmpipe|softpipe|software|basic render/i;

/** Say whether a renderer, by the name that the browser gives, is a program instead of a graphics card. */
export function isSoftware(renderer: string): boolean {
  return SOFTWARE.test(renderer);
}

/** Say whether this browser draws 3D pictures without a graphics card, as far as it tells. */
export function drawsInSoftware(): boolean {
  const gl = document.createElement("canvas").getContext("webgl2");
  if (!gl) return false;
  const info = gl.getExtension("WEBGL_debug_renderer_info");
  const renderer: unknown = gl.getParameter(info ? info.UNMASKED_RENDERER_WEBGL : gl.RENDERER);
  gl.getExtension("WEBGL_lose_context")?.loseContext();
  return isSoftware(String(renderer));
}
