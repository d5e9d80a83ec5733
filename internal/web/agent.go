package web

import "strings"

// Agent says in plain words which program and system a User-Agent means ("Firefox",
// "Windows"), for somebody who looks for what is not his own. Both are "" where it is
// not recognised. Every program can call itself what it likes.
func Agent(header string) (program, system string) {
	program = firstOf(header, [][2]string{
		{"Edg", "Edge"}, {"OPR/", "Opera"}, {"SamsungBrowser/", "Samsung Internet"}, {"Firefox/", "Firefox"}, {"FxiOS/", "Firefox"},
		{"CriOS/", "Chrome"}, {"HeadlessChrome/", "Chromium"}, {"Chrome/", "Chrome"}, {"Version/", "Safari"},
	})
	system = firstOf(header, [][2]string{
		{"iPhone", "iPhone"}, {"iPad", "iPad"}, {"Android", "Android"}, {"Windows", "Windows"}, {"Mac OS X", "macOS"},
		{"CrOS", "ChromeOS"}, {"Linux", "Linux"},
	})
	if !strings.HasPrefix(header, "Mozilla/") || program == "" || system == "" {
		return "", ""
	}
	return program, system
}

// firstOf returns the name beside the first mark that stands in the text.
func firstOf(text string, names [][2]string) string {
	for _, n := range names {
		if strings.Contains(text, n[0]) {
			return n[1]
		}
	}
	return ""
}
