// The browser sends no part after "#", which names a page of the admin.
document.querySelector("[name=next]").value += location.hash;
