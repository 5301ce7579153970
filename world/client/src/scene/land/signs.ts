import { BufferAttribute, BufferGeometry, CanvasTexture, LinearFilter, LinearMipmapLinearFilter, Mesh, Vector3 } from "three";
import { matrixOf, type Where } from "../build/mesh-builder";
import type { Materials } from "../light/materials";
import { FRAGMENT_HEAD, LIGHT, VERTEX_HEAD } from "../light/shader-parts";
import { drawIcon } from "./sign-icons";

/** A name or a picture on a board. */
export interface Sign {
  text: string;
  /** The place whose picture stands beside the text, or whose picture stands alone if there is no text. */
  icon?: string;
  where: Where;
  widthM: number;
  heightM: number;
  color: number;
  ink: number;
}

const COLUMNS = 4;
const ROWS = 16;
const CELL_WIDTH = 256;
const CELL_HEIGHT = 64;
const FONT = "'NanumSquareRound', 'NanumGothic', 'Apple SD Gothic Neo', 'Malgun Gothic', 'Noto Sans KR', sans-serif";

const VERTEX = /* glsl */ `
${VERTEX_HEAD}
in vec3 position;
in vec3 normal;
in vec2 uv;
out vec2 vUv;
out vec3 vLight;
out vec4 vFog;
${LIGHT}
void main() {
  vLight = max(ambientLight(normal) + sunLight(normal), vec3(0.95 * uGlow));
  vec3 toPoint = position - cameraPosition;
  vFog = vec4(fogColorAt(toPoint, length(toPoint)), fogAt(length(toPoint)) * 0.7);
  vUv = uv;
  gl_Position = projectionMatrix * (viewMatrix * vec4(position, 1.0));
}
`;
const FRAGMENT = /* glsl */ `
${FRAGMENT_HEAD}
uniform sampler2D uAtlas;
in vec2 vUv;
in vec3 vLight;
in vec4 vFog;
void main() {
  vec4 ink = texture(uAtlas, vUv);
  if (ink.a < 0.35) discard;
  outColor = vec4(mix(ink.rgb * vLight, vFog.rgb, vFog.a), 1.0);
}
`;

/** All signs as one draw, written with the browser's own fonts. */
export function signMesh(materials: Materials, signs: readonly Sign[]): Mesh {
  const keys = new Map<string, Sign>();
  for (const sign of signs) keys.set(keyOf(sign), sign);
  const cells = [...keys.keys()];
  const geometry = signGeometry(signs, cells);
  const texture = paintAtlas([...keys.values()]);
  const mesh = new Mesh(geometry, materials.make({
    vertexShader: VERTEX, fragmentShader: FRAGMENT, uniforms: { uAtlas: { value: texture } },
  }));
  mesh.frustumCulled = false;
  return mesh;
}

function keyOf(sign: Sign): string {
  return [sign.text, sign.icon, sign.color, sign.ink].join("|");
}

function signGeometry(signs: readonly Sign[], cells: readonly string[]): BufferGeometry {
  const positions: number[] = [];
  const normals: number[] = [];
  const uvs: number[] = [];
  const indexes: number[] = [];
  for (const sign of signs) {
    const cell = cells.indexOf(keyOf(sign));
    const [left, top] = [(cell % COLUMNS) / COLUMNS, Math.floor(cell / COLUMNS) / ROWS];
    const width = (sign.text ? 1 : 0.25) / COLUMNS;
    const matrix = matrixOf(sign.where);
    const normal = new Vector3(0, 0, 1).transformDirection(matrix);
    const first = positions.length / 3;
    for (const [across, up] of [[0, 0], [1, 0], [1, 1], [0, 1]] as const) {
      const point = new Vector3((across - 0.5) * sign.widthM, (up - 0.5) * sign.heightM, 0).applyMatrix4(matrix);
      positions.push(point.x, point.y, point.z);
      normals.push(normal.x, normal.y, normal.z);
      uvs.push(left + across * width, top + (1 - up) / ROWS);
    }
    indexes.push(first, first + 1, first + 2, first, first + 2, first + 3);
  }
  const geometry = new BufferGeometry();
  geometry.setAttribute("position", new BufferAttribute(new Float32Array(positions), 3));
  geometry.setAttribute("normal", new BufferAttribute(new Float32Array(normals), 3));
  geometry.setAttribute("uv", new BufferAttribute(new Float32Array(uvs), 2));
  geometry.setIndex(indexes);
  return geometry;
}

function paintAtlas(signs: readonly Sign[]): CanvasTexture {
  const canvas = document.createElement("canvas");
  canvas.width = COLUMNS * CELL_WIDTH;
  canvas.height = ROWS * CELL_HEIGHT;
  const brush = canvas.getContext("2d");
  if (!brush) throw new Error("no 2D canvas");
  signs.forEach((sign, cell) => {
    brush.save();
    brush.translate((cell % COLUMNS) * CELL_WIDTH, Math.floor(cell / COLUMNS) * CELL_HEIGHT);
    paintSign(brush, sign);
    brush.restore();
  });
  const texture = new CanvasTexture(canvas);
  texture.flipY = false;
  texture.minFilter = LinearMipmapLinearFilter;
  texture.magFilter = LinearFilter;
  texture.anisotropy = 4;
  return texture;
}

function paintSign(brush: CanvasRenderingContext2D, sign: Sign): void {
  const ink = `#${sign.ink.toString(16).padStart(6, "0")}`;
  brush.fillStyle = `#${sign.color.toString(16).padStart(6, "0")}`;
  brush.fillRect(0, 0, sign.text ? CELL_WIDTH : CELL_HEIGHT, CELL_HEIGHT);
  brush.fillStyle = brush.strokeStyle = ink;
  if (sign.icon) drawIcon(brush, sign.icon, CELL_HEIGHT / 2, CELL_HEIGHT / 2, CELL_HEIGHT * 0.34);
  if (!sign.text) return;
  const left = sign.icon ? CELL_HEIGHT * 0.95 : 8;
  brush.font = `800 38px ${FONT}`;
  brush.textAlign = "center";
  brush.textBaseline = "middle";
  brush.fillText(sign.text, (left + CELL_WIDTH - 6) / 2, CELL_HEIGHT / 2 + 2, CELL_WIDTH - left - 10);
}
