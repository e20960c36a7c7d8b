import { Modal, type ModalRootProps } from "@mantine/core";
import type { ReactNode } from "react";

interface DialogProps {
  title: string;
  onClose: () => void;
  children: ReactNode;
  size?: ModalRootProps["size"];
  yOffset?: string;
  /** Keeps the title for those who do not see, and gives the content the whole surface. */
  bare?: boolean;
}

/** A modal dialog with a name. The page behind it rests; Escape closes it. */
export function Dialog({ title, onClose, children, size = "lg", yOffset, bare = false }: DialogProps) {
  return (
    <Modal.Root opened onClose={onClose} size={size} yOffset={yOffset}>
      <Modal.Overlay />
      <Modal.Content>
        {/* A header element here would be a second banner of the page. */}
        <Modal.Header component="div" className={bare ? "ph-hidden" : undefined}>
          <Modal.Title>{title}</Modal.Title>
          {!bare && <Modal.CloseButton aria-label="Close" />}
        </Modal.Header>
        <Modal.Body p={bare ? 0 : undefined}>{children}</Modal.Body>
      </Modal.Content>
    </Modal.Root>
  );
}
