/** The browser client: first the door, then the world. */

import "./style/main.css";
import { startApp } from "./app.ts";

startApp(document.body);
