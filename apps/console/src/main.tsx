import { render } from 'preact';
import { App } from './app.js';
import { followGateway } from './api/live.js';
import { useLanguage } from './i18n/i18n.js';
import './styles/tokens.css';
import './styles/base.css';
import './styles/layout.css';
import './styles/parts.css';
import { applyTheme } from './theme.js';

applyTheme();
await useLanguage(navigator.languages);
followGateway();
const root = document.querySelector('#app');
if (root !== null) render(<App />, root);
