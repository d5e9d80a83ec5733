// Lets whoever reads the page try the calls. The token is read from its field
// at each call and kept nowhere else; no cookie is sent or taken; answers are
// shown as text, never as a page.
'use strict';

const prefix = '/sallyport/api/v1';
const token = document.getElementById('token');

function target(form) {
	const query = new URLSearchParams();
	let path = form.dataset.path;
	for (const field of form.querySelectorAll('input')) {
		const { in: where, name } = field.dataset;
		if (where === 'path') path = path.replace('{' + name + '}', encodeURIComponent(field.value));
		if (where === 'query' && field.value !== '') query.set(name, field.value);
	}
	const text = query.toString();
	return prefix + path + (text ? '?' + text : '');
}

function request(form) {
	const headers = {};
	for (const field of form.querySelectorAll('input[data-in=header]')) {
		if (field.value !== '') headers[field.dataset.name] = field.value;
	}
	if (token.value.trim() !== '') headers.Authorization = 'Bearer ' + token.value.trim();
	const body = form.querySelector('textarea');
	const sent = body && body.value.trim() !== '' ? body.value : undefined;
	if (sent !== undefined) headers['Content-Type'] = form.dataset.media;
	return { method: form.dataset.method, headers, body: sent, credentials: 'omit', mode: 'same-origin', redirect: 'error', cache: 'no-store', referrerPolicy: 'no-referrer' };
}

function pretty(text) {
	try {
		return JSON.stringify(JSON.parse(text), null, 2);
	} catch {
		return text;
	}
}

async function send(form) {
	const missing = [...form.querySelectorAll('input[data-in=path]')].find((field) => field.value === '');
	if (missing) {
		missing.focus();
		return missing.dataset.name + ' is needed: it is a part of the path.';
	}
	const answer = await fetch(target(form), request(form));
	const lines = [answer.status + ' ' + answer.statusText];
	for (const name of ['ETag', 'Retry-After', 'Idempotency-Replayed', 'Allow']) {
		if (answer.headers.get(name)) lines.push(name + ': ' + answer.headers.get(name));
	}
	const kind = answer.headers.get('Content-Type') || '';
	if (kind.startsWith('image/')) {
		lines.push('', 'A picture of ' + (await answer.arrayBuffer()).byteLength + ' bytes.');
	} else {
		lines.push('', pretty(await answer.text()));
	}
	return lines.join('\n').trimEnd();
}

for (const form of document.querySelectorAll('.try')) {
	const button = form.querySelector('button');
	const shown = form.querySelector('pre');
	form.hidden = false;
	button.addEventListener('click', async () => {
		button.disabled = true;
		shown.hidden = false;
		try {
			shown.textContent = await send(form);
		} catch {
			shown.textContent = 'No answer: the server cannot be reached, or a field holds what cannot be sent.';
		}
		button.disabled = false;
	});
}
document.getElementById('token-box').hidden = false;

// A link to a call opens it.
function unfold() {
	const call = document.getElementById(decodeURIComponent(location.hash.slice(1)));
	if (call && call.tagName === 'DETAILS') call.open = true;
}
window.addEventListener('hashchange', unfold);
unfold();
