// Whole numbers of any size. Those that a double counts one by one are numbers, the others BigInts;
// what is done with them here is exact for both, and for one of each.

/** The value of a row as the node tells it: beyond 64 bits its digits stand beside it. */
export const exactly = ({ value, exact }) => (exact === undefined ? value : BigInt(exact));

/** Which comes first, the larger one, as `sort` wants to know it. */
export const largerFirst = (a, b) => (a < b ? 1 : a > b ? -1 : 0);

/** What `a` is more than `b`, as a number: all its digits where it has at most 15. */
export function more(a, b) {
  const isSmall = typeof a === "number" && typeof b === "number";
  return isSmall ? a - b : Number(BigInt(a) - BigInt(b));
}
