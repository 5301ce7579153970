import { Euler, Matrix4, Quaternion, Vector3 } from "three";
import { LIMB_COUNT, LIMBS, type Pose } from "./pose";

/** Where a figure's limbs turn. */
export interface Joints {
  hipY: number;
  hipX: number;
  shoulderY: number;
  shoulderX: number;
  neckY: number;
  eyeY: number;
  extra: readonly [number, number, number];
}

const euler = new Euler();
const turn = new Quaternion();
const size = new Vector3(1, 1, 1);
const point = new Vector3();
const back = new Matrix4();
const body = new Matrix4();

/** One matrix per limb, as the shader of figures wants them. */
export function limbMatrices(): Matrix4[] {
  return Array.from({ length: LIMB_COUNT }, () => new Matrix4());
}

/** Write a pose into the matrices. */
export function setLimbs(matrices: readonly Matrix4[], pose: Pose, joints: Joints): void {
  const at = (limb: number): Matrix4 => matrices[limb] ?? body;
  about(body, 0, joints.hipY, 0, pose.lean, pose.twist, pose.sideways);
  body.elements[13] = (body.elements[13] ?? 0) + pose.liftM;
  at(LIMBS.body).copy(body);
  about(at(LIMBS.head), 0, joints.neckY, 0, pose.headNod, pose.headTurn, pose.headTilt).premultiply(body);
  blink(at(LIMBS.eyes), joints.eyeY, pose.eyes).premultiply(at(LIMBS.head));
  about(at(LIMBS.leftArm), joints.shoulderX, joints.shoulderY, 0, -pose.leftArm, 0, pose.leftArmOut).premultiply(body);
  about(at(LIMBS.rightArm), -joints.shoulderX, joints.shoulderY, 0, -pose.rightArm, 0, -pose.rightArmOut).premultiply(body);
  about(at(LIMBS.extra), ...joints.extra, 0, pose.extra, 0).premultiply(body);
  leg(at(LIMBS.leftLeg), joints, 1, pose.leftLeg, pose);
  leg(at(LIMBS.rightLeg), joints, -1, pose.rightLeg, pose);
}

/** Legs follow the hips' height but not the lean of the body. */
function leg(matrix: Matrix4, joints: Joints, side: number, swing: number, pose: Pose): void {
  about(matrix, joints.hipX * side, joints.hipY, 0, -swing, 0, pose.legsOut * side);
  matrix.elements[13] = (matrix.elements[13] ?? 0) + pose.liftM;
}

/** Eyes are shut by pressing them flat. */
function blink(matrix: Matrix4, eyeY: number, open: number): Matrix4 {
  const height = 0.12 + 0.88 * open;
  return matrix.makeScale(1, height, 1).setPosition(0, eyeY * (1 - height), 0);
}

/** A turn about a joint. */
function about(matrix: Matrix4, x: number, y: number, z: number, rx: number, ry: number, rz: number): Matrix4 {
  turn.setFromEuler(euler.set(rx, ry, rz, "YXZ"));
  matrix.compose(point.set(x, y, z), turn, size);
  return matrix.multiply(back.makeTranslation(-x, -y, -z));
}
