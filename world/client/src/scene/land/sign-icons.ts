type Brush = CanvasRenderingContext2D;

const TURN = Math.PI * 2;

/** Draw a place's picture about a point: a star, waves, a book, a kite, a lantern, a sprout or a crystal. */
export function drawIcon(brush: Brush, icon: string, x: number, y: number, size: number): void {
  brush.save();
  brush.translate(x, y);
  brush.scale(size, size);
  brush.lineWidth = 0.22;
  brush.lineCap = brush.lineJoin = "round";
  (ICONS[icon] ?? star)(brush);
  brush.restore();
}

const ICONS: Readonly<Record<string, (brush: Brush) => void>> = {
  plaza: star, lake: waves, library: book, hill: kite, market: lantern, village: sprout, cave: crystal, web: globe,
};

function polygon(brush: Brush, points: readonly (readonly [number, number])[]): void {
  brush.beginPath();
  for (const [x, y] of points) brush.lineTo(x, y);
  brush.closePath();
  brush.fill();
}

function star(brush: Brush): void {
  polygon(brush, Array.from({ length: 10 }, (_, index) => {
    const angle = (index / 10) * TURN;
    const radius = index % 2 ? 0.45 : 1;
    return [Math.sin(angle) * radius, -Math.cos(angle) * radius] as const;
  }));
}

function waves(brush: Brush): void {
  for (const y of [-0.5, 0.1, 0.7]) {
    brush.beginPath();
    brush.moveTo(-0.95, y);
    brush.bezierCurveTo(-0.5, y - 0.6, -0.4, y + 0.5, 0, y);
    brush.bezierCurveTo(0.4, y - 0.5, 0.5, y + 0.6, 0.95, y);
    brush.stroke();
  }
}

function book(brush: Brush): void {
  polygon(brush, [[-0.95, -0.55], [-0.1, -0.35], [-0.1, 0.75], [-0.95, 0.5]]);
  polygon(brush, [[0.95, -0.55], [0.1, -0.35], [0.1, 0.75], [0.95, 0.5]]);
}

function kite(brush: Brush): void {
  polygon(brush, [[0.1, -1], [0.7, -0.35], [0.1, 0.45], [-0.5, -0.35]]);
  brush.beginPath();
  brush.moveTo(0.1, 0.45);
  brush.bezierCurveTo(0.4, 0.8, -0.5, 0.6, -0.4, 1);
  brush.stroke();
}

function lantern(brush: Brush): void {
  brush.beginPath();
  brush.ellipse(0, 0.05, 0.72, 0.62, 0, 0, TURN);
  brush.fill();
  brush.fillRect(-0.3, -0.85, 0.6, 0.22);
  brush.fillRect(-0.09, 0.6, 0.18, 0.45);
}

function sprout(brush: Brush): void {
  brush.beginPath();
  brush.moveTo(0, 0.95);
  brush.lineTo(0, -0.1);
  brush.stroke();
  for (const side of [-1, 1]) {
    brush.beginPath();
    brush.moveTo(0, 0);
    brush.quadraticCurveTo(side * 0.15, -0.85, side * 0.98, -0.8);
    brush.quadraticCurveTo(side * 0.9, 0.1, 0, 0);
    brush.fill();
  }
}

function crystal(brush: Brush): void {
  polygon(brush, [[0, -1], [0.4, -0.4], [0.3, 0.9], [-0.3, 0.9], [-0.4, -0.4]]);
  polygon(brush, [[0.7, -0.35], [0.95, 0.1], [0.85, 0.9], [0.48, 0.9], [0.48, 0.1]]);
  polygon(brush, [[-0.7, -0.15], [-0.48, 0.2], [-0.48, 0.9], [-0.85, 0.9], [-0.95, 0.2]]);
}

function globe(brush: Brush): void {
  brush.lineWidth = 0.16;
  for (const width of [0.9, 0.4]) {
    brush.beginPath();
    brush.ellipse(0, 0, width, 0.9, 0, 0, TURN);
    brush.stroke();
  }
  brush.beginPath();
  brush.moveTo(-0.9, 0);
  brush.lineTo(0.9, 0);
  brush.stroke();
}
