/** Steps of a whole turn in the gateway's frames. */
const YAW_STEPS = 256;
const TURN_RAD = Math.PI * 2;

/** Radians about the vertical axis for a yaw of the gateway; 0 looks south (+z). */
export function angleOfYaw(yaw: number): number {
  return (yaw / YAW_STEPS) * TURN_RAD;
}

/** The gateway's yaw, 0 to 255, of an angle in radians. */
export function yawOfAngle(angleRad: number): number {
  return ((Math.round((angleRad / TURN_RAD) * YAW_STEPS) % YAW_STEPS) + YAW_STEPS) % YAW_STEPS;
}

/** The shortest signed turn from one angle to another, in radians. */
export function turnBetween(fromRad: number, toRad: number): number {
  const turn = (toRad - fromRad) % TURN_RAD;
  if (turn > Math.PI) return turn - TURN_RAD;
  if (turn < -Math.PI) return turn + TURN_RAD;
  return turn;
}

/** Go a share of the way from one angle to another, the short way round. */
export function mixAngles(fromRad: number, toRad: number, share: number): number {
  return fromRad + turnBetween(fromRad, toRad) * share;
}

/** The share of the remaining way to go in a frame, so that smoothing does not depend on the frame rate. */
export function easing(ratePerS: number, seconds: number): number {
  return 1 - Math.exp(-ratePerS * seconds);
}
