import { Button } from "@mantine/core";
import { type ErrorComponentProps, Link, useRouter } from "@tanstack/react-router";
import { Icon } from "../ui/Icon";
import { EmptyState, ProblemState } from "../ui/states";

/** The error boundary of every page: the frame stays, the page says what broke. */
export function PageError({ error, reset }: ErrorComponentProps) {
  const router = useRouter();
  return (
    <ProblemState
      error={error}
      onRetry={() => {
        reset();
        void router.invalidate();
      }}
    />
  );
}

export function NotFound() {
  return (
    <EmptyState title="There is no page at this address" text="The link may be from another version of the console.">
      <Button component={Link} to="/" variant="default" leftSection={<Icon name="search" size={14} />}>
        Go to the start
      </Button>
    </EmptyState>
  );
}
