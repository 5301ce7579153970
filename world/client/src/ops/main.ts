/** The operators' page: the login, the dashboard, and the pages of single turns. */

import "./style/ops.css";
import "./texts/opsTexts.ts";
import { OpsApp } from "./opsApp.ts";

new OpsApp(document.body);
