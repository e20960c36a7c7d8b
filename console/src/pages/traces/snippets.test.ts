import { execFileSync } from "node:child_process";
import { expect, it } from "vitest";
import { firstSpanCommand, listenerUrl, sdkEnvironment } from "./snippets";

const listeners = [
  { name: "otlp_http", protocol: "HTTP", address: "0.0.0.0:4318", url: "http://127.0.0.1:4318", purpose: "" },
  { name: "otlp_grpc", protocol: "gRPC", address: "127.0.0.1:4317", url: "http://127.0.0.1:4317", purpose: "" },
];

it("names an address that can be reached from where the page is", () => {
  expect(listenerUrl(listeners, "otlp_http", "ship.example")).toBe("http://ship.example:4318");
  expect(listenerUrl(listeners, "otlp_grpc", "ship.example")).toBe("http://127.0.0.1:4317");
  expect(listenerUrl([], "otlp_grpc", "ship.example")).toBeNull();
  expect(sdkEnvironment(listeners, "ship")).toContain("OTEL_EXPORTER_OTLP_ENDPOINT=http://ship:4318");
});

interface Sent {
  resourceSpans: {
    scopeSpans: { spans: { traceId: string; startTimeUnixNano: string; endTimeUnixNano: string }[] }[];
  }[];
}

it("sends valid JSON with the time of now when a shell runs it", () => {
  const seed = new Uint8Array(24).fill(0xab);
  const command = firstSpanCommand(listeners, seed, "localhost").replace(/^curl[^\n]*\n\s*-d/, "printf %s");
  const body = JSON.parse(execFileSync("sh", ["-c", command], { encoding: "utf8" })) as Sent;
  const span = body.resourceSpans[0]?.scopeSpans[0]?.spans[0];
  expect(span?.traceId).toBe("ab".repeat(16));
  expect(span?.startTimeUnixNano).toMatch(/^\d{10}000000000$/);
  const length = BigInt(span?.endTimeUnixNano ?? 0) - BigInt(span?.startTimeUnixNano ?? 0);
  expect(length).toBeGreaterThanOrEqual(250_000_000n);
});
