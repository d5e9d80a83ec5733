package fastapi2fa_test

import "testing"

// The examples of the original's README, one after the other, with a password that is
// good enough here, a device that exists here, and this server's address.
func TestReadme(t *testing.T) {
	h := newHouse(t)
	const accept = "Accept: application/json"
	a := h.Do("POST", "/api/v1/auth/signup", `{
    "email": "user@example.com",
    "tfa_enabled": true,
    "full_name": "string",
    "password": "quartz lantern otter",
    "device": {
        "device_type": "code_generator"
    }
    }`, accept, jsonType)
	h.want("signup", a, 200, "png")
	user := &person{}
	_, user.seed = h.scan(a.Body)

	login := func() string {
		return h.pair(h.Do("POST", "/api/v1/auth/login", "grant_type=&username=user@example.com&password=quartz lantern otter&scope=&client_id=&client_secret=", accept, formType), 202).Access
	}
	p := h.pair(h.Do("POST", "/api/v1/tfa/login_tfa?tfa_token="+h.code(user), "", accept, bearer(login()), formType), 200)
	a = h.Do("GET", "/api/v1/tfa/get_my_qrcode", "", accept, bearer(p.Access))
	h.want("get_my_qrcode", a, 200, "png")
	if _, again := h.scan(a.Body); again != user.seed {
		t.Error("the recovered QR code is another one")
	}
	p = h.pair(h.Do("POST", "/api/v1/auth/refresh", "{\n    \"refresh_token\": \""+p.Refresh+"\"\n    }", accept, jsonType), 200)
	if a := h.Do("GET", "/api/v1/auth/test-token", "", accept, bearer(p.Access)); a.Status != 200 {
		t.Errorf("test-token: %d %s", a.Status, a.Body)
	}
	h.want("recover_tfa", h.Do("POST", "/api/v1/tfa/recover_tfa?tfa_backup_token=no", "", accept, bearer(login()), formType), 403, `{"detail":"TOTP backup token not found"}`)

	h.want("signup", h.Do("POST", "/api/v1/auth/signup", `{"email":"two@example.com","tfa_enabled":false,"full_name":"string","password":"quartz lantern otter"}`, accept, jsonType), 200, "")
	p = h.pair(h.Do("POST", "/api/v1/auth/login", "grant_type=&username=two@example.com&password=quartz lantern otter&scope=&client_id=&client_secret=", accept, formType), 200)
	h.want("enable_tfa", h.Do("PUT", "/api/v1/tfa/enable_tfa", "{\n    \"device_type\": \"code_generator\"\n    }", accept, bearer(p.Access), jsonType), 200, "png")

	if a := h.Do("GET", "/api/v1/users/users", "", accept); a.Status != 200 {
		t.Errorf("users: %d", a.Status)
	}
	if a := h.Do("GET", "/api/v1/tasks/taskstatus?task_id=7", "", accept); a.Status != 200 {
		t.Errorf("taskstatus: %d", a.Status)
	}
}

// The same with the device of the README's first example, whose codes and backup tokens
// come by mail.
func TestReadmeWithTheEmailDevice(t *testing.T) {
	h, m := mailing(t)
	const accept = "Accept: application/json"
	h.want("signup", h.Do("POST", "/api/v1/auth/signup", `{
    "email": "user@example.com",
    "tfa_enabled": true,
    "full_name": "string",
    "password": "quartz lantern otter",
    "device": {
        "device_type": "email"
    }
    }`, accept, jsonType), 200, "")
	login := func() string {
		return h.pair(h.Do("POST", "/api/v1/auth/login", "grant_type=&username=user@example.com&password=quartz lantern otter&scope=&client_id=&client_secret=", accept, formType), 202).Access
	}
	pre := login()
	p := h.pair(h.Do("POST", "/api/v1/tfa/login_tfa?tfa_token="+h.Post.Last().Code, "", accept, bearer(pre), formType), 200)
	if a := h.Do("GET", "/api/v1/auth/test-token", "", accept, bearer(p.Access)); a.Status != 200 {
		t.Errorf("test-token: %d %s", a.Status, a.Body)
	}
	p = h.pair(h.Do("POST", "/api/v1/auth/refresh", "{\n    \"refresh_token\": \""+p.Refresh+"\"\n    }", accept, jsonType), 200)
	h.pair(h.Do("POST", "/api/v1/tfa/recover_tfa?tfa_backup_token="+m.of("user@example.com")[0][0], "", accept, bearer(login()), formType), 200)
	h.want("get_my_qrcode", h.Do("GET", "/api/v1/tfa/get_my_qrcode", "", accept, bearer(p.Access)), 400, `{"detail":"User user@example.com has not tfa enabled or has not a 'code_generator' device"}`)
	h.want("test-celery", h.Do("GET", "/api/v1/tasks/test-celery", "", accept), 200, `{"task_id":"task-0"}`)
	h.want("taskstatus", h.Do("GET", "/api/v1/tasks/taskstatus?task_id=task-0", "", accept), 200, `{"state":"PENDING","result":null}`)
}
