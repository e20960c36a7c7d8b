import { type CSSVariablesResolver, createTheme, type MantineColorsTuple } from "@mantine/core";

/** The accent from lightest to darkest; 7 carries white text in both designs. */
const accent: MantineColorsTuple = [
  "#e8f4fd",
  "#cfe6f9",
  "#a3d1f5",
  "#83c5f4",
  "#62b8f4",
  "#3d9fe3",
  "#1f83ca",
  "#0a62a9",
  "#08528f",
  "#063f70",
];

/** The neutral scale of the dark design, from text to the deepest surface. */
const dark: MantineColorsTuple = [
  "#e4eaf0",
  "#a5b4c3",
  "#8a9bac",
  "#5b6c7e",
  "#3d4d5f",
  "#243040",
  "#131a22",
  "#131a22",
  "#0f151c",
  "#0a0e13",
];

export const theme = createTheme({
  primaryColor: "accent",
  primaryShade: 7,
  colors: { accent, dark },
  fontFamily: "var(--ph-font)",
  fontFamilyMonospace: "var(--ph-mono)",
  fontSizes: { xs: "12px", sm: "13px", md: "14px", lg: "16px", xl: "18px" },
  spacing: { xs: "4px", sm: "8px", md: "12px", lg: "16px", xl: "24px" },
  radius: { xs: "2px", sm: "4px", md: "6px", lg: "8px", xl: "12px" },
  defaultRadius: "sm",
  headings: { fontFamily: "var(--ph-font)", fontWeight: "600" },
  respectReducedMotion: true,
  cursorType: "pointer",
  components: {
    TextInput: { defaultProps: { size: "xs" } },
    Select: { defaultProps: { size: "xs" } },
    Button: { defaultProps: { size: "xs" }, styles: { root: { fontWeight: 500 } } },
    SegmentedControl: { defaultProps: { size: "xs" }, styles: { label: { fontWeight: 500 } } },
    ActionIcon: { defaultProps: { variant: "subtle", color: "gray", size: 28 } },
    Tooltip: { defaultProps: { openDelay: 300, withArrow: false, fz: "xs", transitionProps: { duration: 80 } } },
    Popover: { defaultProps: { transitionProps: { duration: 80 }, shadow: "md" } },
    Menu: { defaultProps: { transitionProps: { duration: 80 }, shadow: "md" } },
    Modal: { defaultProps: { transitionProps: { duration: 100 } } },
    Drawer: { defaultProps: { transitionProps: { duration: 120 } } },
  },
});

/** Points Mantine's own variables at ours, so that its components are part of the same two designs. */
export const variables: CSSVariablesResolver = () => {
  const shared = {
    "--mantine-color-body": "var(--ph-surface)",
    "--mantine-color-text": "var(--ph-text)",
    "--mantine-color-dimmed": "var(--ph-text-2)",
    "--mantine-color-placeholder": "var(--ph-text-3)",
    "--mantine-color-anchor": "var(--ph-accent)",
    "--mantine-color-default": "var(--ph-surface)",
    "--mantine-color-default-hover": "var(--ph-hover)",
    "--mantine-color-default-color": "var(--ph-text)",
    "--mantine-color-default-border": "var(--ph-border-strong)",
    "--mantine-color-error": "var(--ph-bad)",
    "--mantine-color-gray-light-color": "var(--ph-text-2)",
    "--mantine-color-gray-light-hover": "var(--ph-hover)",
  };
  return { variables: {}, light: shared, dark: shared };
};
