/** Storage that never throws: a browser may forbid it, and then nothing is kept. */

/** Return a storage of the browser, or one in memory if the browser forbids it. */
export function storageOf(name: "localStorage" | "sessionStorage"): Pick<Storage, "getItem" | "setItem" | "removeItem"> {
  try {
    const storage = window[name];
    storage.getItem("byeolmaru");
    return storage;
  } catch {
    return inMemory();
  }
}

function inMemory(): Pick<Storage, "getItem" | "setItem" | "removeItem"> {
  const values = new Map<string, string>();
  return {
    getItem: (key) => values.get(key) ?? null,
    setItem: (key, value) => void values.set(key, value),
    removeItem: (key) => void values.delete(key),
  };
}

/** Return a stored object; an empty one if there is none or it is not readable. */
export function storedObject(storage: Pick<Storage, "getItem">, key: string): Record<string, unknown> {
  try {
    const found: unknown = JSON.parse(storage.getItem(key) ?? "{}");
    return typeof found === "object" && found !== null ? (found as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}
