import { render } from "preact";
import { startEvents } from "./api/events";
import { App } from "./app";
import { startRouting } from "./lib/route";
import { startTheme } from "./lib/theme";
import { startTicking } from "./lib/time";
import "./style/frame.css";
import "./style/table.css";
import "./style/pages.css";

startTheme();
startRouting();
startTicking();
startEvents();
render(<App />, document.getElementById("app")!);
