// Before the first paint: the theme that was chosen last time, else the system's.
'use strict';
try {
  const chosen = localStorage.getItem('theme');
  if (chosen) document.documentElement.dataset.theme = chosen;
} catch (error) { /* storage is forbidden: the system's theme */ }
