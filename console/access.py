def page_context(request):
    return {}
