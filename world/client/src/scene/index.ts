import "./scene.css";
import type { CreateScene } from "./api";
import { ByeolmaruScene } from "./world-scene";

export { drawsInSoftware } from "./core/software";

/** Create the scene; resolves once the first picture was drawn. Throws if WebGL is missing. */
export const createScene: CreateScene = async (options) => {
  const scene = new ByeolmaruScene(options);
  scene.start();
  await new Promise<void>((resolve) => {
    requestAnimationFrame(() => resolve());
  });
  return scene;
};
