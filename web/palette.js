// A color for each device: those of Okabe and Ito, which people with any kind of color vision tell
// apart, in an order in which neighbors differ in lightness as well. The same number always has the
// same color; where there are more devices than colors, names and numbers tell them apart.

const COLORS = ["#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#b8a400", "#7a6cc4"];

export function deviceColor(number) {
  return COLORS[(Math.max(1, number) - 1) % COLORS.length];
}
