import { execFileSync } from "node:child_process";
import { expect, it } from "vitest";
import { firstSpanCommand, listenerUrl, sdkEnvironment } from "./snippets";

const listeners = [
  { name: "otlp_http", protocol: "http", address: "0.0.0.0:4318", url: "http://0.0.0.0:4318", purpose: "" },
  { name: "otlp_grpc", protocol: "grpc", address: "127.0.0.1:4317", url: "", purpose: "" },
];

it("names an address that can be reached", () => {
  expect(listenerUrl(listeners, "otlp_http")).toBe("http://127.0.0.1:4318");
  expect(listenerUrl(listeners, "otlp_grpc")).toBe("http://127.0.0.1:4317");
  expect(listenerUrl([], "otlp_grpc")).toBeNull();
  expect(sdkEnvironment(listeners)).toContain("OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4318");
});

it("sends valid JSON with the time of now when a shell runs it", () => {
  const command = firstSpanCommand(listeners, new Uint8Array(24).fill(0xab)).replace(/^curl[^\n]*\n\s*-d/, "printf %s");
  const body = JSON.parse(execFileSync("sh", ["-c", command], { encoding: "utf8" }));
  const span = body.resourceSpans[0].scopeSpans[0].spans[0];
  expect(span.traceId).toBe("ab".repeat(16));
  expect(span.startTimeUnixNano).toMatch(/^\d{10}000000000$/);
  expect(BigInt(span.endTimeUnixNano) - BigInt(span.startTimeUnixNano)).toBeGreaterThanOrEqual(250_000_000n);
});
