// Small charts on canvas. Colors come from the style sheet, so both schemes have theirs.

export function color(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

// A drawing context in CSS pixels, sharp on any display, with a cleared canvas.
export function prepare(canvas, height) {
  const width = canvas.clientWidth;
  const scale = Math.min(window.devicePixelRatio || 1, 3);
  const [w, h] = [Math.round(width * scale), Math.round(height * scale)];
  if (canvas.width !== w || canvas.height !== h) {
    canvas.width = w;
    canvas.height = h;
  }
  canvas.style.height = `${height}px`;
  const context = canvas.getContext("2d");
  context.setTransform(scale, 0, 0, scale, 0, 0);
  context.clearRect(0, 0, width, height);
  return {context, width, height};
}

// 1, 2 or 5 times a power of ten.
function roundUp(value) {
  if (value <= 0) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].map((step) => step * power).find((step) => step >= value);
}

function grid(context, width, height, left, most, label) {
  context.font = "11px system-ui, sans-serif";
  context.fillStyle = color("--muted");
  context.strokeStyle = color("--line");
  context.lineWidth = 1;
  for (const part of [0, 0.5, 1]) {
    const y = Math.round(height - part * (height - 10)) - 0.5;
    context.beginPath();
    context.moveTo(left, y);
    context.lineTo(width, y);
    context.stroke();
    context.textAlign = "right";
    context.textBaseline = "middle";
    context.fillText(part === 0 ? "0" : label(part * most), left - 6, Math.min(height - 6, Math.max(6, y)));
  }
}

// points: [{at, ..}]; series: [{name, color}] from bottom to top; `stacked`, or the first one alone.
export function drawChart(canvas, points, seconds, series, {most = null, label = String} = {}) {
  const {context, width, height} = prepare(canvas, 130);
  const left = 40;
  const total = (point) => series.reduce((sum, {name}) => sum + point[name], 0);
  const top = most ?? roundUp(Math.max(0, ...points.map(total)) * 1.05);
  grid(context, width, height, left, top, label);
  if (points.length < 2) return;
  const end = points.at(-1).at;
  const x = (point) => width - (end - point.at) / seconds * (width - left);
  const y = (value) => height - 1 - Math.min(1, value / top) * (height - 11);
  const floor = points.map(() => 0);
  context.save();
  context.beginPath();
  context.rect(left, 0, width - left, height);
  context.clip();
  for (const {name, color: variable, line} of series) {
    const upper = points.map((point, i) => floor[i] + point[name]);
    context.beginPath();
    points.forEach((point, i) => context.lineTo(x(point), y(upper[i])));
    for (let i = points.length - 1; i >= 0; --i) context.lineTo(x(points[i]), y(floor[i]));
    context.closePath();
    context.fillStyle = color(variable);
    context.globalAlpha = line ? 0.16 : 0.9;
    context.fill();
    context.globalAlpha = 1;
    if (line) {
      context.beginPath();
      points.forEach((point, i) => context.lineTo(x(point), y(upper[i])));
      context.strokeStyle = color(variable);
      context.lineWidth = 2;
      context.lineJoin = "round";
      context.stroke();
    }
    upper.forEach((value, i) => { floor[i] = value; });
  }
  context.restore();
}
