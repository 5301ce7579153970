/** The browser client: first the door, then the world. */

import "./style/main.css";
import "./i18n/worldTexts.ts";
import { startApp } from "./app.ts";

startApp(document.body);
