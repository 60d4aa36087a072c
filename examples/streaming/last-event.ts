/** The data of the last server-sent event of a stream. */
export function lastEvent(stream: string): string {
  return stream.split("data: ").at(-1)?.trim() ?? "";
}
