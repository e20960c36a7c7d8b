import type { Problem } from "./schema";

/** A request that got no answer: the server's problem document, or the same shape for "nobody answered". */
export class ApiProblem extends Error {
  override name = "ApiProblem";

  constructor(readonly problem: Problem) {
    super(problem.detail ?? problem.title);
  }

  /** 0 when the server could not be reached at all. */
  get status(): number {
    return this.problem.status;
  }

  /** Worth asking again without a change: unreachable, overloaded, starting. */
  get passing(): boolean {
    return this.status === 0 || this.status === 502 || this.status === 503;
  }
}

/** Any thrown thing as a problem to show. */
export function asProblem(error: unknown): Problem {
  if (error instanceof ApiProblem) return error.problem;
  const detail = error instanceof Error ? error.message : String(error);
  return {
    title: "The console failed",
    status: -1,
    detail,
    remedy: "Reload the page; if it stays, report it with this text.",
  };
}

export const UNREACHABLE: Problem = {
  title: "The server does not answer",
  status: 0,
  detail: "No connection to Pilothouse. It may be starting again, or it was stopped.",
  remedy: "Look at the terminal where “pilothouse up” runs. This page goes on by itself when the server is back.",
};
