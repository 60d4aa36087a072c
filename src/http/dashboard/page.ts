/** The page of the dashboard. */

export const page: string = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>Tidemark</title>
<style>
body { font: 16px/1.5 system-ui, sans-serif; }
</style>
</head>
<body>
<h1>Tidemark</h1>
<pre id="sample"></pre>
<script>
const feed = new EventSource(location.href.split("#")[0]);
feed.addEventListener("sample", ({ data }) => {
  document.getElementById("sample").textContent = JSON.stringify(JSON.parse(data), null, 2);
});
</script>
</body>
</html>
`;
